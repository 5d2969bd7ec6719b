import type { LrSchedulerType, TrainOptions } from './config.js';

/** Options that the number of training rows decides where they are left out. */
export interface RowSettings {
  learningRate: number;
  numTrainEpochs: number;
  perDeviceTrainBatchSize: number;
  lrSchedulerType: LrSchedulerType;
  warmupRatio: number;
}

/** All options of a run, once its rows are known. */
export type RunOptions = TrainOptions &
  RowSettings & { warmupSteps: number; evalStrategy: NonNullable<TrainOptions['evalStrategy']> };

const RAMP = { lrSchedulerType: 'linear', warmupRatio: 0.1 } as const;

/** The first line that reaches the number of rows counts. docs/settings.md says why. */
export const BY_ROWS: readonly (RowSettings & { upTo: number })[] = [
  { upTo: 60, learningRate: 1e-4, numTrainEpochs: 10, perDeviceTrainBatchSize: 4, ...RAMP },
  { upTo: 200, learningRate: 1e-4, numTrainEpochs: 6, perDeviceTrainBatchSize: 8, ...RAMP },
  { upTo: 1_000, learningRate: 1e-4, numTrainEpochs: 3, perDeviceTrainBatchSize: 8, ...RAMP },
  { upTo: 10_000, learningRate: 5e-5, numTrainEpochs: 2, perDeviceTrainBatchSize: 8, ...RAMP },
  { upTo: Number.POSITIVE_INFINITY, learningRate: 2e-5, numTrainEpochs: 1, perDeviceTrainBatchSize: 8, ...RAMP },
];

/**
 * Fills in what was left out; each option that was given stays as it is. Gradient accumulation and ranks multiply the rows of an update, whether
 * their number a micro-batch was given or not. With compat 'trl' nothing is left out any more (resolveTrainOptions).
 * Evaluation rows that are given are evaluated.
 * @param rows that are trained on, by all ranks; with `packing` too it is not the packs that count
 * @returns the options, and which of them the number of rows decided: those that were left out, and have an effect
 */
export function optionsForRows(
  given: TrainOptions,
  rows: number,
  evalRows = 0,
): { options: RunOptions; byRows: Partial<RowSettings> } {
  const { upTo: _, ...table } = BY_ROWS.find(({ upTo }) => rows <= upTo)!;
  const lrSchedulerType = given.lrSchedulerType ?? table.lrSchedulerType;
  // warmupSteps says how long it is, 0 that there is none; 'constant' has none.
  const withoutRatio = given.warmupSteps !== null || lrSchedulerType === 'constant';
  const options: RunOptions = {
    ...given,
    learningRate: given.learningRate ?? table.learningRate,
    numTrainEpochs: given.numTrainEpochs ?? table.numTrainEpochs,
    perDeviceTrainBatchSize: given.perDeviceTrainBatchSize ?? table.perDeviceTrainBatchSize,
    lrSchedulerType,
    warmupRatio: given.warmupRatio ?? (withoutRatio ? 0 : table.warmupRatio),
    warmupSteps: given.warmupSteps ?? 0,
    evalStrategy: given.evalStrategy ?? (evalRows > 0 ? 'epoch' : 'no'),
  };
  const idle: Partial<Record<keyof RowSettings, boolean>> = {
    numTrainEpochs: given.maxSteps > 0,
    warmupRatio: withoutRatio,
  };
  const names = Object.keys(table) as (keyof RowSettings)[];
  const decided = names.filter((name) => given[name] === null && !idle[name]);
  return { options, byRows: Object.fromEntries(decided.map((name) => [name, options[name]])) };
}
