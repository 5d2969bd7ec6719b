import { InputError, printExactJson } from '@gemmatune/schema';
import { eventLoopTurns } from './event-loop.js';
import { type MalformedLine, readRows, type SourceRow } from './formats/index.js';
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

/** A row as `prepare` writes it. */
export interface PreparedRow {
  /** Where the source row is, counted as in `SourceRow`. */
  line: number;
  /** The row's exact JSON, one line: {user_content, tool_name, tool_arguments, hf_tools} or {messages, tools}. */
  json: string;
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

export interface Prepared {
  train: PreparedRow[];
  eval: PreparedRow[];
  report: PrepareReport;
}

/** How many dropped rows or malformed lines a report names one by one. */
const MAX_NAMED = 100;

/** What is kept of a source row until the whole file is read: its training row's text, not its conversation. */
type Outcome = PreparedRow | { line: number; why: DropReason; detail?: string };

/**
 * Shuffles, takes and splits the rows of a file and makes training rows of them: which rows end up where is the same as with
 * `datasets` (`shuffle(seed)`, `select`, then filter). Rows are made into training rows as they are read, so memory holds usable
 * rows only. Malformed lines are skipped before the shuffle and named in the report.
 * @param source a file (JSON lines, JSON, Parquet), or several that are read one after another
 * @throws InputError where a file cannot be read, no row is usable, or `eval` leaves nothing to train on
 */
export async function prepare(source: string | string[], options: PrepareOptions = {}): Promise<Prepared> {
  const files = typeof source === 'string' ? [source] : source;
  const malformed: MalformedLine[] = [];
  const onMalformed = (line: MalformedLine) => malformed.push(line);
  const prepared = await prepareRows(readAll(files, onMalformed), options, files.join(', '));
  prepared.report.source = files;
  prepared.report.malformed = { count: malformed.length, lines: malformed.slice(0, MAX_NAMED) };
  return prepared;
}

async function* readAll(files: string[], onMalformed: (line: MalformedLine) => void): AsyncIterable<SourceRow> {
  for (const file of files) yield* readRows(file, { onMalformed });
}

/**
 * The same on rows that were read elsewhere.
 * @param where what to call the rows in an error
 */
export async function prepareRows(
  rows: AsyncIterable<SourceRow> | Iterable<SourceRow>,
  { seed = 40, take, eval: evalRows = 0 }: PrepareOptions = {},
  where = 'the rows',
): Promise<Prepared> {
  wholeNumber(seed, 'seed', 0);
  if (take !== undefined) wholeNumber(take, 'take', 1);
  wholeNumber(evalRows, 'eval', 0);

  const outcomes: Outcome[] = [];
  const turn = eventLoopTurns();
  for await (const { line, value } of rows) {
    await turn();
    const made = normaliseRow(value);
    outcomes.push('row' in made ? { line, json: printExactJson(made.row) } : { line, ...made });
  }
  if (outcomes.length === 0) throw new InputError(`${where}: found no row, expected at least one.`);

  const order = numpyPermutation(outcomes.length, seed).subarray(0, take);
  const split = order.length - evalRows;
  if (split <= 0) {
    throw new InputError(
      `${where}: eval takes ${evalRows} of ${order.length} rows, expected fewer so that rows to train on remain.`,
    );
  }
  const train = side(order.subarray(0, split), outcomes);
  const evaluation = side(order.subarray(split), outcomes);
  if (train.usable.length === 0) throw new InputError(`${where}: ${nothingUsable(train.report)}`);
  return {
    train: train.usable,
    eval: evaluation.usable,
    report: {
      source: [],
      seed,
      read: outcomes.length,
      taken: order.length,
      malformed: { count: 0, lines: [] },
      train: train.report,
      eval: evaluation.report,
    },
  };
}

function side(order: Uint32Array, outcomes: Outcome[]): { usable: PreparedRow[]; report: SideReport } {
  const usable: PreparedRow[] = [];
  const dropped = Object.fromEntries(
    DROP_REASONS.map((why) => [why, { count: 0, examples: [] }]),
  ) as unknown as SideReport['dropped'];
  for (const index of order) {
    const outcome = outcomes[index]!;
    if ('json' in outcome) {
      usable.push(outcome);
      continue;
    }
    const { line, why, detail } = outcome;
    const reason = dropped[why];
    reason.count++;
    if (reason.examples.length < MAX_NAMED) reason.examples.push(detail === undefined ? { line } : { line, detail });
  }
  return { usable, report: { rows: order.length, usable: usable.length, dropped } };
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
