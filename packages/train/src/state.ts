import type { BatchMetrics, ParameterInfo } from '@gemmatune/engine';
import { type ExactJson, JsonNumber, printExactJson } from '@gemmatune/schema';
import type { RunOptions } from './by-rows.js';
import { emptyWindow, type LogRow, type Window } from './log.js';
import { addBatch } from './metrics.js';
import { epochAt, everySteps, type Schedule } from './schedule.js';

/** Everything of a run besides the weights and AdamW's moments. Plain data: resume.json carries it. */
export interface RunState {
  /** Updates done; the order of rows and the learning rate follow from it. */
  step: number;
  /** Updates that changed the weights: AdamW's own count. */
  appliedUpdates: number;
  tokens: number;
  samples: number;
  /** Tokens as right-padded micro-batches would have had them: what transformers counts for total_flos. */
  paddedTokens: number;
  seconds: number;
  /** Sum of the updates' losses over the updates whose loss was finite, for train_loss. */
  lossTotal: number;
  lossUpdates: number;
  window: Window;
  /** Updates in a row, up to now, without a finite gradient. */
  nonFinite: number;
  best: { metric: number; step: number } | null;
  /** Step of the checkpoint that holds the best model saved so far. */
  bestCheckpoint: number | null;
  /** Most tokens of a pass, where passes were planned: a resumed run sums in the same order. */
  tokensPerPass: number | null;
  /** False where an abort came between an update and the evaluation due after it. */
  evaluated: boolean;
  logHistory: LogRow[];
}

export function freshState(): RunState {
  return {
    step: 0,
    appliedUpdates: 0,
    tokens: 0,
    samples: 0,
    paddedTokens: 0,
    seconds: 0,
    lossTotal: 0,
    lossUpdates: 0,
    window: emptyWindow(),
    nonFinite: 0,
    best: null,
    bestCheckpoint: null,
    tokensPerPass: null,
    evaluated: true,
    logHistory: [],
  };
}

/** Micro-batches that are done: one, unless a pass holds rows of several. */
export interface MicroBatch {
  metrics: BatchMetrics;
  items: number;
}

/** What an update counts for, whatever passes and ranks computed it. */
export interface UpdateCounts {
  items: number;
  tokens: number;
  /** Tokens with right padding to the longest row of each micro-batch. */
  padded: number;
}

/** Counts one complete update in. A loss that is not finite is left out of every mean, as transformers' logging_nan_inf_filter does. */
export function recordUpdate(
  state: RunState,
  microBatches: readonly MicroBatch[],
  counts: UpdateCounts,
  loss: number,
  applied: boolean,
): void {
  state.step += 1;
  state.tokens += counts.tokens;
  state.samples += counts.items;
  state.paddedTokens += counts.padded;
  for (const { metrics, items } of microBatches) {
    if (Number.isFinite(metrics.lossSum)) addBatch(state.window.metrics, metrics, items);
  }
  if (Number.isFinite(loss)) {
    state.window.losses += loss;
    state.window.updates += 1;
    state.lossTotal += loss;
    state.lossUpdates += 1;
  }
  if (applied) state.appliedUpdates += 1;
}

/** Notes a new best evaluation. */
export function recordBest(state: RunState, metric: number, greaterIsBetter: boolean): boolean {
  const before = state.best?.metric ?? (greaterIsBetter ? -Infinity : Infinity);
  if (!(greaterIsBetter ? metric > before : metric < before)) return false;
  state.best = { metric, step: state.step };
  return true;
}

/** The numbers of the summary row. The default counts what was done; transformers what was planned, against this process's time alone. */
export function summary(
  state: RunState,
  schedule: Schedule,
  options: RunOptions,
  items: number,
  parameters: readonly ParameterInfo[],
): { seconds: number; samples: number; steps: number; totalFlos: number; trainLoss: number } {
  const { seconds, samples, step: steps, lossTotal, lossUpdates } = state;
  const flos = totalFlos(state, parameters);
  if (options.compat !== 'trl') return { seconds, samples, steps, totalFlos: flos, trainLoss: lossTotal / lossUpdates };
  const planned =
    options.maxSteps > 0
      ? schedule.maxSteps * schedule.itemsPerBatch * schedule.batchesPerUpdate
      : items * options.numTrainEpochs;
  return { seconds, samples: planned, steps: schedule.maxSteps, totalFlos: flos, trainLoss: lossTotal / steps };
}

/** What the last updates left unlogged (only with compat 'trl') slips into TRL's summary row, unless an evaluation came between. */
export function leftover(
  { window, tokens }: RunState,
  { evalStrategy }: RunOptions,
): { window: Window; tokens: number } | null {
  return window.metrics.batches > 0 && evalStrategy === 'no' ? { window, tokens } : null;
}

/** transformers' floating_point_ops: 6 x padded tokens x parameters outside the embedding. Not for MFU: it leaves out the tied head. */
export function totalFlos({ paddedTokens }: RunState, parameters: readonly ParameterInfo[]): number {
  return 6 * paddedTokens * parameterCounts(parameters).body;
}

/** Parameters of the embedding, and all others. */
export function parameterCounts(parameters: readonly ParameterInfo[]): { body: number; embedding: number } {
  const counts = { body: 0, embedding: 0 };
  for (const { name, shape } of parameters) {
    const size = shape.reduce((product, length) => product * length, 1);
    counts[name.includes('embed_tokens') ? 'embedding' : 'body'] += size;
  }
  return counts;
}

/** Keys of trainer_state.json whose numbers Python holds as int; all others are float. */
const INTEGERS = new Set([
  'step',
  'best_global_step',
  'eval_steps',
  'global_step',
  'logging_steps',
  'max_steps',
  'num_input_tokens_seen',
  'num_train_epochs',
  'save_steps',
  'train_batch_size',
]);

/** The text of trainer_state.json: TrainerState.save_to_json of transformers 5.18, key for key. */
export function trainerStateText(
  state: RunState,
  schedule: Schedule,
  options: RunOptions,
  place: { totalFlos: number; bestFolder: string | null; saving: boolean },
): string {
  const { maxSteps } = schedule;
  const control = {
    should_epoch_stop: false,
    should_evaluate: false,
    should_log: false,
    should_save: place.saving,
    should_training_stop: state.step >= maxSteps,
  };
  const fields = {
    best_global_step: state.best?.step ?? null,
    best_metric: state.best?.metric ?? null,
    best_model_checkpoint: place.bestFolder,
    epoch: epochAt(state.step, schedule),
    // 500 is what transformers writes where evaluation is off.
    eval_steps: everySteps(options.evalSteps ?? 500, maxSteps),
    global_step: state.step,
    is_hyper_param_search: false,
    is_local_process_zero: true,
    is_world_process_zero: true,
    log_history: state.logHistory,
    logging_steps: everySteps(options.loggingSteps, maxSteps),
    max_steps: maxSteps,
    num_input_tokens_seen: 0,
    num_train_epochs: schedule.epochs,
    save_steps: everySteps(options.saveSteps, maxSteps),
    stateful_callbacks: { TrainerControl: { args: control, attributes: {} } },
    total_flos: place.totalFlos,
    train_batch_size: options.perDeviceTrainBatchSize,
    trial_name: null,
    trial_params: null,
  };
  return `${printExactJson(asPython(fields), { indent: 2, sortKeys: true, ensureAscii: true })}\n`;
}

/** JavaScript cannot tell 1 from 1.0: the key does. What is not finite becomes null, as Python's NaN is not JSON and no other reader takes it. */
function asPython(value: unknown, key = ''): ExactJson {
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) return null;
    return INTEGERS.has(key) && Number.isInteger(value) ? new JsonNumber(String(value)) : JsonNumber.float(value);
  }
  if (Array.isArray(value)) return value.map((item) => asPython(item, key));
  if (typeof value !== 'object' || value === null) return value as string | boolean | null;
  return new Map(Object.entries(value).map(([name, item]) => [name, asPython(item, name)]));
}
