import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import type { RankPlace } from './place.js';
import { ranksOf } from './ranks.case.js';
import { byRankZero, deviceOf, gatherJson, machineByMachine, ranksText, threadsOf } from './together.js';

const place = (rank: number, size: number, more: Partial<RankPlace> = {}): RankPlace => ({
  ...{ kind: 'rank', rank, size, localRank: rank, localSize: size, address: 'unix:/x/y', run: '', via: '--rank' },
  ...more,
});

describe('together', () => {
  it('ranks tell each other values', async () => {
    const all = await Promise.all(ranksOf(3).map((ranks) => gatherJson(ranks, 'x', { mine: ranks.rank })));
    for (const each of all) expect(each).toEqual([{ mine: 0 }, { mine: 1 }, { mine: 2 }]);
    expect(await gatherJson(null, 'x', 5)).toEqual([5]);
  });

  it('rank 0 does what is to be done once', async () => {
    const done: number[] = [];
    const work = async (rank: number) => {
      done.push(rank);
      return `by ${rank}`;
    };
    const all = await Promise.all(ranksOf(3).map((ranks) => byRankZero(ranks, 'x', () => work(ranks.rank))));
    expect(all).toEqual(['by 0', 'by 0', 'by 0']);
    expect(done).toEqual([0]);
    expect(await byRankZero(null, 'x', () => work(7))).toBe('by 7');
  });

  it('the first rank of each machine goes before the others', async () => {
    const order: string[] = [];
    const all = ranksOf(4).map((ranks) =>
      machineByMachine(ranks, place(ranks.rank, 4, { localRank: ranks.rank % 2, localSize: 2 }), 'x', async (again) => {
        await new Promise((go) => setTimeout(go, 5));
        order.push(again ? 'again' : 'first');
        return ranks.rank;
      }),
    );
    expect(await Promise.all(all)).toEqual([0, 1, 2, 3]);
    expect(order).toEqual(['first', 'first', 'again', 'again']);
  });
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

it('a run of several ranks is told in one line', () => {
  const options = { perDeviceTrainBatchSize: 2, gradientAccumulationSteps: 8 };
  expect(ranksText({ size: 2 }, 'emulated:1', 'gloo 0.5.0', options)).toBe(
    '2 ranks on emulated, gloo 0.5.0, 32 rows an update (2 devices x 2 rows x 8)',
  );
});
