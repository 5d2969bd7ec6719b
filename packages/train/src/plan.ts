import type { EncodedRow } from '@gemmatune/data';
import type { PassMemory, Recompute } from '@gemmatune/engine';
import type { MicroBatchRows } from './batches.js';
import { RECOMPUTE_MODES, type TrainOptions } from './config.js';
import { TrainError } from './errors.js';
import { targetsOf } from './rows.js';

/** Rows of one update that go forward and backward together. */
export interface Pass {
  rows: EncodedRow[];
  /** The micro-batches of the update that are complete with this pass: none where it ends inside one. */
  completed: MicroBatchRows[];
}

/** How the micro-batches of every update become passes, and what the backward pass recomputes. */
export interface PassPlan {
  /** Most tokens that a pass may have. */
  tokensPerPass: number;
  /** null: as the model was made, where the options do not say and memory is not limited. */
  recompute: Recompute | null;
  /** Passes of the update that has most of them. */
  passes: number;
  /** Tokens of the largest pass. */
  tokens: number;
  /** Memory that the largest pass takes, and what there is for it; null where that is not asked for. */
  bytes: number | null;
  available: number | null;
}

type PlanOptions = Pick<TrainOptions, 'tokensPerPass' | 'recompute' | 'compat'>;

/** Share of the available memory that passes leave alone: kernels' scratch, and what the allocator cannot join. */
const HEADROOM = 0.05;

/**
 * The passes of one update: rows in their order, as many as `tokensPerPass` lets in; null = one pass a micro-batch. Gradients add up to
 * the same sum over rows however they are divided. TRL averages some metrics over micro-batches, so with its rules no pass holds rows of two.
 */
export function passesOf(
  microBatches: readonly MicroBatchRows[],
  tokensPerPass: number | null,
  compat: TrainOptions['compat'],
): Pass[] {
  if (tokensPerPass === null) return microBatches.map((batch) => ({ rows: batch.rows, completed: [batch] }));
  const passes: Pass[] = [];
  let room = 0;
  for (const batch of microBatches) {
    if (compat === 'trl') room = 0;
    for (const row of batch.rows) {
      if (row.inputIds.length > room) {
        passes.push({ rows: [], completed: [] });
        room = tokensPerPass;
      }
      passes.at(-1)!.rows.push(row);
      room -= row.inputIds.length;
    }
    passes.at(-1)!.completed.push(batch);
  }
  return passes;
}

/**
 * Chooses the passes of a run from what they take of the device's memory: nothing recomputed if the longest row fits so, else what is
 * nearly free, else whole blocks, unless `recompute` says which; then the largest pass that fits, at most a whole update. Where memory
 * is not limited (the CPU) micro-batches are the passes, unless `tokensPerPass` says otherwise.
 * @param updates the micro-batches of every update of the run; walked more than once
 * @param memory what a pass of so many tokens and targets takes; must grow with both
 * @param before tokensPerPass of the checkpoint that the run continues from: kept while it fits, for sums in the same order
 * @returns null where micro-batches are the passes
 * @throws TrainError ERR_GEMMATUNE_MEMORY where not even the longest row fits, saying what would; _ARGUMENT
 */
export function planPasses(
  updates: Iterable<readonly MicroBatchRows[]>,
  memory: (tokens: number, targets: number) => PassMemory,
  options: PlanOptions,
  before: number | null = null,
): PassPlan | null {
  const { tokensPerPass: fixed, compat } = options;
  const { available } = memory(1, 0);
  if (available === null && fixed === null) return null;

  const sizeOf = sizes();
  // Rows that may share a pass: those of an update, or of a micro-batch. Without a limit each of these is one pass.
  const whole = new Largest();
  const row = new Largest();
  for (const microBatches of updates) {
    for (const pass of passesOf(microBatches, Number.POSITIVE_INFINITY, compat)) whole.see(pass.rows.map(sizeOf));
    for (const { rows } of microBatches) for (const each of rows) row.see([sizeOf(each)]);
  }
  if (fixed !== null && fixed < row.tokens) {
    throw new TrainError(
      'ERR_GEMMATUNE_ARGUMENT',
      `\`tokensPerPass\` is ${fixed}, but the longest row has ${row.tokens} tokens and cannot be divided; expected at least ${row.tokens}, or shorter rows (\`maxLength\`).`,
    );
  }
  // A pass of so many tokens has at most that many targets, and no more than any update has.
  const needs = (tokens: number) => memory(tokens, Math.min(tokens, whole.targets)).bytes;
  const { tokensPerPass, recompute } =
    available === null
      ? { tokensPerPass: fixed!, recompute: options.recompute }
      : choose(options, before, needs, available, { row: row.tokens, whole: whole.tokens });

  const largest = new Largest();
  let most = 0;
  for (const microBatches of updates) {
    const passes = passesOf(microBatches, tokensPerPass, compat);
    most = Math.max(most, passes.length);
    for (const pass of passes) largest.see(pass.rows.map(sizeOf));
  }
  const bytes = recompute === null ? null : memory(largest.tokens, largest.targets).bytes[recompute];
  return { tokensPerPass, recompute, passes: most, tokens: largest.tokens, bytes, available };
}

/** @param longest tokens of the longest row, and of all rows that may share a pass */
function choose(
  { tokensPerPass: fixed, recompute: given }: PlanOptions,
  before: number | null,
  needs: (tokens: number) => PassMemory['bytes'],
  available: number,
  longest: { row: number; whole: number },
): { tokensPerPass: number; recompute: Recompute } {
  const fits = (tokens: number, mode: Recompute) => needs(tokens)[mode] <= (1 - HEADROOM) * available;
  const modes = given === null ? RECOMPUTE_MODES : [given];
  const least = (tokens: number) => modes.find((mode) => fits(tokens, mode));

  const wanted = fixed ?? before;
  if (wanted !== null && wanted >= longest.row) {
    const recompute = least(Math.min(wanted, longest.whole));
    if (recompute !== undefined) return { tokensPerPass: wanted, recompute };
  }
  const recompute = fixed === null ? least(longest.row) : undefined;
  if (recompute !== undefined) {
    const tokensPerPass = largestThat((tokens) => fits(tokens, recompute), longest.row, longest.whole);
    return { tokensPerPass, recompute };
  }
  const tokens = fixed === null ? longest.row : Math.min(fixed, longest.whole);
  const best = largestThat((each) => fits(each, 'blocks'), 0, tokens);
  const instead = RECOMPUTE_MODES.find((mode) => fits(tokens, mode));
  throw tooLarge({ tokens, fixed: fixed !== null, bytes: needs(tokens), available, best, given, instead });
}

interface Size {
  tokens: number;
  targets: number;
}

/** Counts each row's targets once. */
function sizes(): (row: EncodedRow) => Size {
  const known = new Map<EncodedRow, Size>();
  return (row) => {
    const size = known.get(row) ?? { tokens: row.inputIds.length, targets: targetsOf(row) };
    known.set(row, size);
    return size;
  };
}

/** Most tokens and most targets of any group of rows seen; not always the same group's. */
class Largest implements Size {
  tokens = 0;
  targets = 0;

  see(rows: readonly Size[]): void {
    this.tokens = Math.max(
      this.tokens,
      rows.reduce((sum, { tokens }) => sum + tokens, 0),
    );
    this.targets = Math.max(
      this.targets,
      rows.reduce((sum, { targets }) => sum + targets, 0),
    );
  }
}

/** The largest integer up to `most` with the property, which holds for `least` and up to some number. */
function largestThat(property: (n: number) => boolean, least: number, most: number): number {
  if (property(most)) return most;
  let [yes, no] = [least, most];
  while (no - yes > 1) {
    const middle = Math.floor((yes + no) / 2);
    if (property(middle)) yes = middle;
    else no = middle;
  }
  return yes;
}

function tooLarge(pass: {
  tokens: number;
  fixed: boolean;
  bytes: PassMemory['bytes'];
  available: number;
  /** Tokens of the largest pass that fits with whole blocks recomputed. */
  best: number;
  given: Recompute | null;
  /** What would fit as it is, where `given` does not. */
  instead: Recompute | undefined;
}): TrainError {
  const { tokens, fixed, bytes, available, best, given, instead } = pass;
  const count = (n: number) => n.toLocaleString('en');
  const what = fixed
    ? `A pass of ${count(tokens)} tokens (\`tokensPerPass\`)`
    : `The longest row, ${count(tokens)} tokens,`;
  const advice =
    instead !== undefined
      ? `\`recompute\` is '${given}', and '${instead}' would fit`
      : best === 0
        ? 'not a single token would fit, so free memory on the device or use another one'
        : fixed
          ? `passes of up to ${count(best)} tokens would fit with whole blocks recomputed`
          : `rows of up to ${count(best)} tokens would fit with whole blocks recomputed, so lower \`maxLength\``;
  return new TrainError(
    'ERR_GEMMATUNE_MEMORY',
    `${what} takes ${gigabytes(bytes.none)} with everything kept for the backward pass, ${gigabytes(bytes.elementwise)} with norms, rope and GeGLU recomputed, ` +
      `${gigabytes(bytes.blocks)} with whole blocks recomputed (\`gradientCheckpointing\`); the device has ${gigabytes(available)} for it, of which ${100 * HEADROOM} % stay free: ${advice}.`,
  );
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(bytes < 1e9 ? 3 : 1)} GB`;
