import type { RunOptions } from './by-rows.js';
import type { LrSchedulerType, TrainOptions } from './config.js';

/**
 * Counts that follow from the number of rows, the options and the number of ranks. An update is one optimizer step. A batch is a micro-batch of one
 * rank, so that ranks multiply the batches of an update; with compat 'trl' it is what all ranks do at once, so that they multiply its items.
 */
export interface Schedule {
  /** Rows, or packs of rows, of a batch. */
  itemsPerBatch: number;
  batchesPerUpdate: number;
  /** ceil(rows / itemsPerBatch) */
  batchesPerEpoch: number;
  /** ceil(batchesPerEpoch / batchesPerUpdate): the last update of an epoch may have fewer batches. */
  updatesPerEpoch: number;
  maxSteps: number;
  /** Epochs begun by the time maxSteps is reached. */
  epochs: number;
  warmupSteps: number;
}

/** The arithmetic of transformers 5.18: Trainer.set_initial_training_values and TrainingArguments.get_warmup_steps. */
export function scheduleOf(rows: number, options: RunOptions, ranks = 1): Schedule {
  const trl = options.compat === 'trl';
  const itemsPerBatch = options.perDeviceTrainBatchSize * (trl ? ranks : 1);
  const batchesPerUpdate = options.gradientAccumulationSteps * (trl ? 1 : ranks);
  const batchesPerEpoch = Math.ceil(rows / itemsPerBatch);
  const updatesPerEpoch = Math.max(1, Math.ceil(batchesPerEpoch / batchesPerUpdate));
  const byEpochs = options.maxSteps < 0;
  const maxSteps = byEpochs ? Math.ceil(options.numTrainEpochs * updatesPerEpoch) : options.maxSteps;
  const epochs = byEpochs ? Math.ceil(options.numTrainEpochs) : Math.ceil(maxSteps / updatesPerEpoch);
  const counts = { itemsPerBatch, batchesPerUpdate, batchesPerEpoch, updatesPerEpoch };
  return { ...counts, maxSteps, epochs, warmupSteps: warmupSteps(maxSteps, options) };
}

/** warmupSteps wins over warmupRatio; below 1 it is itself a ratio, as in transformers 5. */
function warmupSteps(maxSteps: number, { warmupSteps, warmupRatio }: RunOptions): number {
  if (warmupSteps >= 1) return Math.trunc(warmupSteps);
  return Math.ceil(maxSteps * (warmupSteps > 0 ? warmupSteps : warmupRatio));
}

/** How many updates lie between two events: a number below 1 is a share of all updates (TrainerState.compute_steps). */
export function everySteps(steps: number, maxSteps: number): number {
  return steps < 1 ? Math.ceil(maxSteps * steps) : steps;
}

type Lambda = (t: number, W: number, T: number) => number;

const warmedUp =
  (after: Lambda): Lambda =>
  (t, W, T) =>
    t < W ? t / Math.max(1, W) : after(t, W, T);

/** The lambdas of transformers/optimization.py: factor on the learning rate after t of T updates, of which W are warm-up. */
const LAMBDAS: Record<LrSchedulerType, Lambda> = {
  constant: () => 1,
  constant_with_warmup: warmedUp(() => 1),
  linear: warmedUp((t, W, T) => Math.max(0, (T - t) / Math.max(1, T - W))),
  cosine: warmedUp((t, W, T) => Math.max(0, 0.5 * (1 + Math.cos(Math.PI * ((t - W) / Math.max(1, T - W)))))),
};

/**
 * Learning rate of update `step` (counted from 1). transformers uses lambda(step - 1), so that with warm-up its first update has
 * learning rate 0 and does nothing: `compat: 'trl'` does the same. By default warm-up updates use lambda(step): the ramp is
 * 1/W, 2/W, ..., 1 and no update is wasted, also where the whole run warms up. After warm-up both use lambda(step - 1).
 */
export function learningRateAt(step: number, { maxSteps, warmupSteps }: Schedule, options: RunOptions): number {
  const lambda = LAMBDAS[options.lrSchedulerType];
  const done = step - 1;
  const factor =
    options.compat === 'trl' || done >= warmupSteps
      ? lambda(done, warmupSteps, maxSteps)
      : lambda(step, warmupSteps, Math.max(maxSteps, warmupSteps + 1)); // with T = W linear decay would be 0 at the top of the ramp
  return options.learningRate * factor;
}

/** What follows update `step`, as transformers' DefaultFlowCallback decides; only the default also logs the last update always. */
export function dueAfter(
  step: number,
  schedule: Schedule,
  options: TrainOptions,
): { log: boolean; evaluate: boolean; save: boolean } {
  if (step === 0) return { log: false, evaluate: false, save: false };
  const last = step === schedule.maxSteps;
  const epochEnd = last || step % schedule.updatesPerEpoch === 0;
  const every = (steps: number | null) => steps !== null && step % everySteps(steps, schedule.maxSteps) === 0;
  const by = (strategy: string | null, steps: number | null) =>
    (strategy === 'steps' && (last || every(steps))) || (strategy === 'epoch' && epochEnd);
  const first = step === 1 && options.loggingFirstStep;
  return {
    log: first || every(options.loggingSteps) || (last && options.compat !== 'trl'),
    evaluate: by(options.evalStrategy, options.evalSteps),
    save: by(options.saveStrategy, options.saveSteps),
  };
}

/** Epoch after update `step`, as transformers logs it: whole epochs plus the share of this epoch's batches. */
export function epochAt(step: number, schedule: Schedule): number {
  if (step === 0) return 0;
  const epoch = Math.floor((step - 1) / schedule.updatesPerEpoch);
  const update = (step - 1) % schedule.updatesPerEpoch;
  const batches = Math.min((update + 1) * schedule.batchesPerUpdate, schedule.batchesPerEpoch);
  return epoch + batches / schedule.batchesPerEpoch;
}
