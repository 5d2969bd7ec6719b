import { describe, expect, it } from 'vitest';
import { epochUpdates, packBatch, sequentialBatches } from './batch.js';
import { packRows } from './packing.js';

const row = (ids: number[], labels: number[]) => ({ inputIds: Int32Array.from(ids), labels: Int32Array.from(labels) });

describe('packBatch', () => {
  it('shifts labels within each row and never across rows', () => {
    const { tokens, targets, starts } = packBatch([row([2, 5, 6], [-100, 5, 6]), row([2], [2]), row([2, 7], [2, 7])]);
    expect([...tokens]).toEqual([2, 5, 6, 2, 2, 7]);
    expect([...targets]).toEqual([5, 6, -100, -100, 7, -100]);
    expect([...starts]).toEqual([0, 3, 4, 6]);
  });
});

describe('epochUpdates', () => {
  it("gives the tutorial's run: 961 rows, batches of 2, 8 to an update", () => {
    const updates = epochUpdates(961, { batchSize: 2, gradientAccumulation: 8, seed: 42, epoch: 0 });
    expect(updates).toHaveLength(61);
    expect(updates.flat()).toHaveLength(481);
    expect(updates[0]![0]).toEqual([422, 948]);
    expect(updates.at(-1)).toEqual([[721]]);
    expect(updates.flat(2).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 961 }, (_, i) => i));
  });

  it('changes with the epoch as the seed does', () => {
    const at = (seed: number, epoch: number) =>
      epochUpdates(10, { batchSize: 3, gradientAccumulation: 2, seed, epoch });
    expect(at(42, 0)).toEqual([
      [
        [2, 6, 1],
        [8, 4, 5],
      ],
      [[0, 9, 3], [7]],
    ]);
    expect(at(42, 1)).toEqual(at(43, 0));
  });
});

describe('sequentialBatches', () => {
  it('keeps order and lets the last be short', () => {
    expect(sequentialBatches(5, 2)).toEqual([[0, 1], [2, 3], [4]]);
    expect(sequentialBatches(0, 2)).toEqual([]);
  });
});

describe('packRows', () => {
  it('fits each row into the fullest pack that has room', () => {
    // 7 opens a pack (3 left), 6 another (4 left), 4 goes to the second, 3 to the first, 2 opens a third.
    expect(packRows([2, 3, 4, 6, 7], 10)).toEqual([[4, 1], [3, 2], [0]]);
  });

  it('keeps the order of equal lengths, and takes the oldest of equally full packs', () => {
    expect(packRows([5, 5, 5, 5, 5], 10)).toEqual([[0, 1], [2, 3], [4]]);
    expect(packRows([6, 6, 6, 4, 4], 10)).toEqual([[0, 3], [1, 4], [2]]);
  });

  it('counts longer rows as full, and packs in groups', () => {
    expect(packRows([12, 3, 10], 10)).toEqual([[0], [2], [1]]);
    expect(packRows([5, 4, 5], 10, 2)).toEqual([[0, 1], [2]]);
    expect(packRows([], 10)).toEqual([]);
  });

  it('places every row once and never overfills', () => {
    const lengths = Array.from({ length: 3000 }, (_, i) => 1 + ((i * 7919) % 512));
    const packs = packRows(lengths, 512);
    expect(packs.flat().toSorted((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
    const fill = packs.map((pack) => pack.reduce((sum, row) => sum + lengths[row]!, 0));
    expect(Math.max(...fill)).toBeLessThanOrEqual(512);
    expect(packs.length).toBeLessThanOrEqual(Math.ceil(lengths.reduce((a, b) => a + b) / 512) + 5);
  });
});
