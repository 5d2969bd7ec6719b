/**
 * Training, from rows of tokens to a model folder:
 * config checks the options → by-rows fills in what the number of rows decides → schedule plans updates and learning rates
 * → loop runs them (rows, evaluate, state, log are its parts)
 * → run-folder keeps checkpoints, the best model and trainer_state.json. What happens is told in events.
 */
export { BY_ROWS, optionsForRows, type RowSettings, type RunOptions } from './by-rows.js';
export { occupants, prepareOutput, refuseOccupied } from './checkpoint.js';
export {
  KNOWN_OPTION_NAMES,
  LR_SCHEDULER_TYPES,
  type LrSchedulerType,
  resolveTrainOptions,
  TRAIN_OPTION_ALIASES,
  TRAIN_OPTIONS,
  type TrainOptionName,
  type TrainOptions,
} from './config.js';
export { TRAIN_ERROR_CODES, TrainError, type TrainErrorCode } from './errors.js';
export type { EvalMetrics } from './evaluate.js';
export type { EndEvent, PlanEvent, ProgressEvent, StartEvent, TrainEvent, WarningCode } from './events.js';
export type { LogRow } from './log.js';
export { type TrainableModel, Trainer, type TrainerInput } from './loop.js';
export { type Pass, type PassPlan, passesOf } from './plan.js';
export { ALONE, byFirst, type Description, type Ranks, together } from './ranks.js';
export {
  dueAfter,
  epochAt,
  learningRateAt,
  type Schedule,
  scheduleOf,
} from './schedule.js';
