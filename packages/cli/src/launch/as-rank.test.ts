import { availableParallelism } from 'node:os';
import { expect, it } from 'vitest';
import { deviceOf, threadsOf } from './as-rank.js';
import type { RankPlace } from './place.js';

const place = (rank: number, size: number, more: Partial<RankPlace> = {}): RankPlace => ({
  ...{ kind: 'rank', rank, size, localRank: rank, localSize: size, address: 'unix:/x/y', run: '', via: '--rank' },
  ...more,
});

it.each([
  ['cpu', 1, '--rank', 'cpu'],
  ['cuda', 1, '--rank', 'cuda:1'],
  ['cuda:3', 1, '--rank', 'cuda:3'],
] as const)('%s of local rank %i by %s is %s', (spec, localRank, via, device) => {
  expect(deviceOf(spec, place(localRank, 2, { via }))).toBe(device);
});

it('cores are divided between the ranks of a machine, each with one at least', () => {
  expect(threadsOf(3, place(0, 2))).toBe(3);
  expect(threadsOf(0, place(0, 1))).toBe(availableParallelism());
  expect(threadsOf(0, place(0, 10_000))).toBe(1);
  expect(threadsOf(0, place(0, 4, { localSize: null }))).toBe(availableParallelism());
});
