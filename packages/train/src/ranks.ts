/** What the ranks of one run tell each other: a few small messages, none of them about gradients. */
import { shown } from '@gemmatune/base';
import type { Model } from '@gemmatune/engine';
import { TRAIN_ERROR_CODES, TrainError, type TrainErrorCode } from './errors.js';
import { added } from './metrics.js';
import type { MicroBatch } from './state.js';

/** Names and plain values of what must be the same on every rank. */
export type Description = Readonly<Record<string, string | number | boolean | null>>;

/** The processes that train one model together, as one of them sees them; the engine's Group is one. The model is shared between them already. */
export interface Ranks {
  /** From 0. */
  readonly rank: number;
  readonly size: number;
  /** Every rank's bytes, by rank; resolves when all ranks have called with the same `what`. */
  gather(what: string, mine: Uint8Array): Promise<Uint8Array[]>;
}

/** A run of one process. */
export const ALONE: Ranks = { rank: 0, size: 1, gather: async (_what, mine) => [mine] };

/**
 * Every rank does its part.
 * @returns what each found, by rank, as JSON carries it
 * @throws on every rank the error of the lowest that failed
 */
export async function together<T>(ranks: Ranks, what: string, part: () => Promise<T> | T): Promise<T[]> {
  if (ranks.size === 1) return [await part()];
  const mine = await Promise.resolve()
    .then(part)
    .then(
      (value) => ({ value }),
      (error: Error) => ({ error }),
    );
  const said = 'error' in mine ? { failed: { code: codeOf(mine.error), message: mine.error.message } } : mine;
  const all = (await ranks.gather(what, encodeJson(said))).map((bytes) => decodeJson<Said<T>>(bytes));
  for (const [rank, each] of all.entries()) {
    if (!('failed' in each)) continue;
    if (rank === ranks.rank && 'error' in mine) throw mine.error;
    const { code, message } = each.failed;
    throw new TrainError(code, rank === 0 ? message : `Rank ${rank} failed: ${message}`);
  }
  return all.map((each) => (each as { value: T }).value);
}

type Said<T> = { value: T } | { failed: { code: TrainErrorCode; message: string } };

const codeOf = (error: Error): TrainErrorCode =>
  TRAIN_ERROR_CODES.find((code) => code === (error as { code?: unknown }).code) ?? 'ERR_GEMMATUNE_RANK';

/** Rank 0 does it, the others wait. @returns what rank 0 found, on every rank @throws rank 0's error, on every rank */
export async function byFirst<T>(ranks: Ranks, what: string, part: () => Promise<T> | T): Promise<T> {
  const [first] = await together(ranks, what, async () => (ranks.rank === 0 ? await part() : null));
  return first as T;
}

/** Rows of numbers by rank, each as long as its rank has made it. */
async function gatherNumbers(ranks: Ranks, what: string, mine: readonly number[]): Promise<Float64Array[]> {
  const all = await ranks.gather(what, new Uint8Array(Float64Array.from(mine).buffer));
  return all.map((bytes) => new Float64Array(bytes.slice().buffer));
}

/** @throws TrainError ERR_GEMMATUNE_ARGUMENT on every rank, naming the first thing in which one differs from rank 0 */
export async function refuseDifferences(ranks: Ranks, mine: Description): Promise<void> {
  if (ranks.size === 1) return;
  const [first, ...others] = await together(ranks, 'what is to be trained', () => mine);
  for (const [i, other] of others.entries()) {
    for (const name of Object.keys({ ...first, ...other })) {
      if (other[name] === first![name]) continue;
      const [found, expected] = [other[name], first![name]].map((value) =>
        value === undefined ? 'none' : shown(value),
      );
      throw new TrainError(
        'ERR_GEMMATUNE_ARGUMENT',
        `Rank ${i + 1} differs from rank 0: ${name} is ${found}, rank 0 has ${expected}; start every rank with the same settings, rows and model.`,
      );
    }
  }
}

/**
 * Makes every rank's copy of the model complete, and compares them.
 * @throws TrainError ERR_GEMMATUNE_RANK on every rank, naming those whose copy is not rank 0's
 */
export async function sameModel(
  ranks: Ranks,
  model: Pick<Model, 'completeCopies' | 'checksum'>,
  when: string,
): Promise<void> {
  if (ranks.size === 1) return;
  await model.completeCopies();
  const sums = await together(ranks, `the model ${when}`, () => model.checksum());
  const others = sums.flatMap((sum, rank) => (sum === sums[0] ? [] : [rank]));
  if (others.length === 0) return;
  throw new TrainError(
    'ERR_GEMMATUNE_RANK',
    `The model of rank ${others.join(', ')} is not rank 0's ${when}, though all must be equal bit for bit; nothing was written, so continue from an earlier checkpoint with \`resume\`.`,
  );
}

/** What one rank has computed of an update or an evaluation. */
export interface Part {
  /** In order; ranks may have different numbers. */
  microBatches: readonly MicroBatch[];
  /** This rank wants to stop. */
  aborted: boolean;
}

const NUMBERS = 5;

/** Every rank's part, by rank. */
export async function gatherParts(ranks: Ranks, what: string, mine: Part): Promise<Part[]> {
  const numbers = mine.microBatches.flatMap(({ metrics: { lossSum, targets, correct, entropySum }, items }) => [
    lossSum,
    targets,
    correct,
    entropySum,
    items,
  ]);
  const all = await gatherNumbers(ranks, what, [Number(mine.aborted), ...numbers]);
  return all.map(([aborted, ...each]) => ({
    aborted: aborted === 1,
    microBatches: Array.from({ length: each.length / NUMBERS }, (_, m) => {
      const [lossSum, targets, correct, entropySum, items] = each.slice(m * NUMBERS) as [
        number,
        number,
        number,
        number,
        number,
      ];
      return { metrics: { lossSum, targets, correct, entropySum }, items };
    }),
  }));
}

/** The micro-batches m of all ranks as one, added in the order of ranks: the same bits on every rank. */
export function addedUp(parts: readonly Part[]): MicroBatch[] {
  const sums: MicroBatch[] = [];
  for (const { microBatches } of parts) {
    for (const [m, { metrics, items }] of microBatches.entries()) {
      const sum = sums[m];
      sums[m] =
        sum === undefined ? { metrics, items } : { metrics: added(sum.metrics, metrics), items: sum.items + items };
    }
  }
  return sums;
}

const encodeJson = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const decodeJson = <T>(bytes: Uint8Array): T => JSON.parse(new TextDecoder().decode(bytes)) as T;
