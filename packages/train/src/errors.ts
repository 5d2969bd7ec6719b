import { GemmatuneError } from '@gemmatune/base';

/** Stable codes of what training refuses or fails with; failures of the model itself arrive as the engine's own errors. */
export const TRAIN_ERROR_CODES = [
  /** An option, a row or a folder the caller gave is wrong; nothing was written. */
  'ERR_GEMMATUNE_ARGUMENT',
  /** A file could not be read or written. */
  'ERR_GEMMATUNE_FILE',
  /** The checkpoint does not belong to this run (other data, other settings). */
  'ERR_GEMMATUNE_RESUME',
  /** Not even the smallest pass fits the device's memory. */
  'ERR_GEMMATUNE_MEMORY',
  /** Another rank could not do its part, or ranks have come to hold different models. */
  'ERR_GEMMATUNE_RANK',
  /** Too many updates in a row had a gradient that is not finite. */
  'ERR_GEMMATUNE_DIVERGED',
] as const;
export type TrainErrorCode = (typeof TRAIN_ERROR_CODES)[number];

/** A refusal or failure of training: a stable code for programs, one sentence for people. */
export class TrainError extends GemmatuneError<TrainErrorCode> {}
