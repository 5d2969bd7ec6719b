import { torchRandperm } from './shuffle.js';

/** The label of a position that is not learnt, as in PyTorch's cross entropy. */
export const IGNORE = -100;

/** One row ready for training. labels[i] is inputIds[i] where position i is to be learnt, -100 elsewhere (not shifted). */
export interface EncodedRow {
  inputIds: Int32Array;
  labels: Int32Array;
}

/**
 * Rows packed one after another without padding: row i is tokens[starts[i] .. starts[i + 1]). targets[t] is what position t should
 * predict: labels shifted by one within each row, so a row's last position has -100.
 */
export interface Batch {
  tokens: Int32Array; // (T)
  targets: Int32Array; // (T)
  starts: Int32Array; // (rows + 1), from 0 to T
}

/** @param rows at least one row, each of at least one token */
export function packBatch(rows: EncodedRow[]): Batch {
  const total = rows.reduce((sum, row) => sum + row.inputIds.length, 0);
  const tokens = new Int32Array(total);
  const targets = new Int32Array(total).fill(IGNORE);
  const starts = new Int32Array(rows.length + 1);
  let at = 0;
  for (const [i, { inputIds, labels }] of rows.entries()) {
    tokens.set(inputIds, at);
    targets.set(labels.subarray(1), at);
    at += inputIds.length;
    starts[i + 1] = at;
  }
  return { tokens, targets, starts };
}

export interface EpochOptions {
  /** Rows (or packs of rows) per micro-batch. */
  batchSize: number;
  /** Micro-batches per optimizer update. */
  gradientAccumulation: number;
  /** `data_seed` or `seed` of the training arguments. */
  seed: number;
  /** Counts from 0. */
  epoch: number;
}

/**
 * One epoch as optimizer updates of micro-batches of row numbers: a pure function of its arguments. The order is accelerate's
 * `SeedableRandomSampler` (torch.randperm with seed + epoch); the last micro-batch may be short, and the last update holds the
 * micro-batches that remain (transformers/trainer.py).
 * @returns updates[u][m] = the rows of micro-batch m, ceil(ceil(n / batchSize) / gradientAccumulation) updates
 */
export function epochUpdates(n: number, { batchSize, gradientAccumulation, seed, epoch }: EpochOptions): number[][][] {
  const order = Array.from(torchRandperm(n, seed + epoch));
  return chunks(chunks(order, batchSize), gradientAccumulation);
}

/** The micro-batches of an evaluation: rows in their own order. */
export function sequentialBatches(n: number, batchSize: number): number[][] {
  return chunks(
    Array.from({ length: n }, (_, i) => i),
    batchSize,
  );
}

function chunks<T>(items: T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}
