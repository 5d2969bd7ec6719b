import type { LogRow } from './log.js';
import type { PassPlan } from './plan.js';
import type { Schedule } from './schedule.js';

/** What `for await (const event of trainer.train())` hears. Numbers are plain; steps count from 1. */
export type TrainEvent =
  | StartEvent
  | PlanEvent
  | ProgressEvent
  | { type: 'log'; row: LogRow }
  | { type: 'evaluating'; step: number; batch: number; batches: number } // of all ranks, where they are equally fast
  | { type: 'evaluate'; row: LogRow; best: boolean }
  | { type: 'save'; step: number; folder: string; final: boolean }
  | { type: 'warning'; code: WarningCode; message: string; step: number }
  | EndEvent;

export type WarningCode =
  | 'rows-without-targets'
  | 'step-without-targets'
  | 'non-finite'
  | 'no-checkpoint'
  | 'checkpoint-skipped'
  | 'best-missing'
  | 'other-passes'
  | 'other-ranks';

export interface StartEvent extends Schedule {
  type: 'start';
  /** Processes that train together, one a device. */
  ranks: number;
  trainRows: number;
  evalRows: number;
  /** Updates already done, 0 for a fresh run. */
  step: number;
  /** The checkpoint this run continues from. */
  resumedFrom: string | null;
}

/** After 'start', where passes are not simply the micro-batches: on a GPU, or with tokensPerPass. */
export interface PlanEvent extends PassPlan {
  type: 'plan';
}

/** After each pass of this rank: a micro-batch, what the plan made of them, or nothing where only other ranks have rows left. */
export interface ProgressEvent {
  type: 'progress';
  /** The update under way. */
  step: number;
  maxSteps: number;
  /** Micro-batches done of this update, and how many it has, those of all ranks. */
  microStep: number;
  microSteps: number;
  epoch: number;
  /** Of the update under way. */
  learningRate: number;
  /** Mean loss over the targets of this pass; NaN where it has none. */
  loss: number;
  /** Tokens trained on since the start of the run. */
  tokens: number;
  /** Of all ranks, since this process began; evaluation and saving not counted. */
  tokensPerSecond: number;
}

/** Always the last event. After 'diverged' the generator throws as well. */
export interface EndEvent {
  type: 'end';
  reason: 'completed' | 'aborted' | 'diverged';
  step: number;
  /** TRL's summary row; null where the run did not complete. */
  row: LogRow | null;
  /** The folder to use next: the trained model, or the checkpoint to resume from; null where nothing was written. */
  folder: string | null;
}
