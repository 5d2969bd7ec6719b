import { expect, it } from 'vitest';
import { modelIdentity, trialOf } from './trial.js';

it('a trial is the same whatever the order of its parts', () => {
  expect(trialOf({}, { a: 1, b: 2 }).trial).toBe(trialOf({}, { b: 2, a: 1 }).trial);
  expect(trialOf({}, { a: 1, b: 2 }).trial).not.toBe(trialOf({}, { a: 2, b: 1 }).trial);
});

it('knows a model of the cache by its commit, without reading it', async () => {
  const commit = '0123456789abcdef0123456789abcdef01234567';
  const snapshot = `/nowhere/hub/models--org--name/snapshots/${commit}`;
  expect(await modelIdentity(snapshot)).toBe(`org/name@${commit}`);
});
