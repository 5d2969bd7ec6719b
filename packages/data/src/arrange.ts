import { InputError } from '@gemmatune/base';
import { printExactJson } from '@gemmatune/schema';
import { eventLoopTurns } from './event-loop.js';
import type { MalformedLine, SourceRow } from './formats/index.js';
import { DROP_REASONS, type DropReason, normaliseRow } from './rows/index.js';
import { numpyPermutation } from './shuffle.js';

export interface PrepareOptions {
  /** Seed of the shuffle, as in `datasets.Dataset.shuffle(seed)`. */
  seed?: number;
  /** How many rows to use, counted after the shuffle and before any row is dropped. All by default. */
  take?: number;
  /** How many of those, the last ones, are the evaluation side. None by default. */
  eval?: number;
}

/** Rows of one side that were dropped for one reason. */
export interface Dropped {
  count: number;
  /** The first of them. */
  examples: { line: number; detail?: string }[];
}

export interface SideReport {
  /** Rows before dropping. */
  rows: number;
  usable: number;
  dropped: Record<DropReason, Dropped>;
}

export interface PrepareReport {
  source: string[];
  seed: number;
  /** Well-formed rows in the source. */
  read: number;
  /** Rows used, after the shuffle. */
  taken: number;
  malformed: { count: number; lines: MalformedLine[] };
  train: SideReport;
  eval: SideReport;
}

/** Where texts stay until all rows are read: only then is their order known. Text i is the i-th that was added. */
export interface Texts {
  add(text: string): void | Promise<void>;
  get(i: number): string | Promise<string>;
}

/** Which rows go where. A row's number counts from 0, in the order of reading; text i is the training row of row i, as JSON. */
export interface Arrangement {
  /** Numbers of the usable rows, in the order of the result. */
  train: number[];
  eval: number[];
  /** Where row i is in its source, as in `SourceRow`. */
  lines: number[];
  report: PrepareReport;
}

/** How many dropped rows a report names one by one. */
export const MAX_NAMED = 100;

/**
 * Makes training rows of source rows, shuffles, takes and splits them. What is kept of a row beside its text is a few bytes.
 * @param where what to call the rows in an error
 * @param texts gets one text for each row: its training row, or the detail of why it was dropped
 */
export async function arrangeRows(
  rows: AsyncIterable<SourceRow> | Iterable<SourceRow>,
  { seed = 40, take, eval: evalRows = 0 }: PrepareOptions,
  where: string,
  texts: Texts,
): Promise<Arrangement> {
  wholeNumber(seed, 'seed', 0);
  if (take !== undefined) wholeNumber(take, 'take', 1);
  wholeNumber(evalRows, 'eval', 0);

  const lines: number[] = [];
  /** Why row i was dropped; undefined where it was not. */
  const dropped: (DropReason | undefined)[] = [];
  const turn = eventLoopTurns();
  for await (const { line, value } of rows) {
    await turn();
    const made = normaliseRow(value);
    lines.push(line);
    dropped.push('row' in made ? undefined : made.why);
    await texts.add('row' in made ? printExactJson(made.row) : (made.detail ?? ''));
  }
  if (lines.length === 0) throw new InputError(`${where}: found no row, expected at least one.`);

  const order = numpyPermutation(lines.length, seed).subarray(0, take);
  const split = order.length - evalRows;
  if (split <= 0) {
    throw new InputError(
      `${where}: eval takes ${evalRows} of ${order.length} rows, expected fewer so that rows to train on remain.`,
    );
  }
  const side = async (part: Uint32Array): Promise<{ usable: number[]; report: SideReport }> => {
    const usable: number[] = [];
    const reasons = Object.fromEntries(
      DROP_REASONS.map((why) => [why, { count: 0, examples: [] }]),
    ) as unknown as SideReport['dropped'];
    for (const i of part) {
      const why = dropped[i];
      if (why === undefined) {
        usable.push(i);
        continue;
      }
      const reason = reasons[why];
      reason.count++;
      if (reason.examples.length >= MAX_NAMED) continue;
      const detail = await texts.get(i);
      reason.examples.push(detail === '' ? { line: lines[i]! } : { line: lines[i]!, detail });
    }
    return { usable, report: { rows: part.length, usable: usable.length, dropped: reasons } };
  };
  const train = await side(order.subarray(0, split));
  const evaluation = await side(order.subarray(split));
  if (train.usable.length === 0) throw new InputError(`${where}: ${nothingUsable(train.report)}`);
  return {
    train: train.usable,
    eval: evaluation.usable,
    lines,
    report: {
      source: [],
      seed,
      read: lines.length,
      taken: order.length,
      malformed: { count: 0, lines: [] },
      train: train.report,
      eval: evaluation.report,
    },
  };
}

function nothingUsable({ rows, dropped }: SideReport): string {
  const reasons = DROP_REASONS.filter((why) => dropped[why].count > 0).map((why) => `${dropped[why].count} ${why}`);
  const detail = dropped.unreadable.examples[0]?.detail;
  return `none of ${rows} training rows is usable (${reasons.join(', ')}${detail === undefined ? '' : `; ${detail}`}).`;
}

function wholeNumber(value: number, name: string, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new InputError(`${name}: found ${value}, expected a whole number of at least ${least}.`);
}
