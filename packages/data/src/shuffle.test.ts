import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { epochUpdates } from './batch.js';
import { present, shared } from './shared-data.case.js';
import { numpyPermutation, torchRandperm } from './shuffle.js';

interface Cases {
  dataset_shuffle: {
    n: number;
    seed: number;
    first: number;
    order: number[];
    last5_of_full: number[];
    checksum_full: number;
  }[];
  trainer: {
    n: number;
    generator_seed?: number;
    order?: number[];
    note?: string;
    batches_per_epoch?: number;
    last_batch_of_epoch?: number[];
  }[];
}

const FILE = 'shuffle_cases.json';
describe.skipIf(!present(FILE))(`shared data ${FILE}`, () => {
  const cases: Cases = present(FILE)
    ? JSON.parse(readFileSync(shared(FILE), 'utf8'))
    : { dataset_shuffle: [], trainer: [] };

  it.each(cases.dataset_shuffle)('datasets shuffle of $n rows with seed $seed', (c) => {
    const order = numpyPermutation(c.n, c.seed);
    expect([...order.subarray(0, c.first)]).toEqual(c.order);
    expect([...order.subarray(-5)]).toEqual(c.last5_of_full);
    expect(order.reduce((sum, row, i) => sum + (i + 1) * row, 0)).toBe(c.checksum_full);
  });

  it.each(cases.trainer.filter((c) => c.order))('torch.randperm of $n rows with seed $generator_seed', (c) => {
    expect([...torchRandperm(c.n, c.generator_seed!)]).toEqual(c.order);
  });

  it.each(cases.trainer.filter((c) => c.batches_per_epoch))('batches of an epoch of $n rows', (c) => {
    const updates = epochUpdates(c.n, { batchSize: 2, gradientAccumulation: 8, seed: 42, epoch: 0 });
    const batches = updates.flat();
    expect(batches).toHaveLength(c.batches_per_epoch!);
    expect(batches.at(-1)).toEqual(c.last_batch_of_epoch);
  });
});

describe('numpyPermutation', () => {
  it('takes no rows, one row and seeds past 32 bits', () => {
    expect([...numpyPermutation(0, 40)]).toEqual([]);
    expect([...numpyPermutation(1, 40)]).toEqual([0]);
    expect([...numpyPermutation(10, 40)]).toEqual([1, 7, 8, 5, 3, 4, 2, 0, 9, 6]);
    // numpy.random.default_rng(seed).permutation(n), NumPy 2
    expect([...numpyPermutation(10, 2 ** 40 + 7)]).toEqual([6, 2, 8, 7, 9, 3, 4, 1, 5, 0]);
    expect([...numpyPermutation(12, 123456789012)]).toEqual([4, 7, 6, 8, 1, 11, 3, 0, 10, 5, 2, 9]);
  });
});

describe('torchRandperm', () => {
  it('reads the low 32 bits of the seed', () => {
    expect([...torchRandperm(10, 42)]).toEqual([2, 6, 1, 8, 4, 5, 0, 9, 3, 7]);
    expect([...torchRandperm(10, 2 ** 32 + 42)]).toEqual([2, 6, 1, 8, 4, 5, 0, 9, 3, 7]);
  });
});
