import { averages, emptySums, type MetricSums } from './metrics.js';

/** Position in the run, as every row ends with it. */
export interface Position {
  epoch: number;
  step: number;
}

/** null stands for a number that was not finite, once it has been through a file. */
type Logged = number | null;

/** One row of TRL's log_history, keys in TRL's order: of training, of an evaluation (eval_*), or the summary at the end. */
export interface LogRow extends Position {
  /** Mean over the updates since the last row, and what follows to `mean_token_accuracy` of the same. */
  loss?: Logged;
  /** Of the last update, before clipping. */
  grad_norm?: Logged;
  /** Of the last update. */
  learning_rate?: Logged;
  /** Of the model's distribution at targets, in nats. */
  entropy?: Logged;
  /** Trained on so far. */
  num_tokens?: Logged;
  mean_token_accuracy?: Logged;

  eval_loss?: Logged;
  /** Seconds. */
  eval_runtime?: Logged;
  eval_samples_per_second?: Logged;
  eval_steps_per_second?: Logged;
  eval_entropy?: Logged;
  eval_num_tokens?: Logged;
  eval_mean_token_accuracy?: Logged;
  /** The caller's own metrics of an evaluation. */
  [metric: `eval_${string}`]: Logged | undefined;

  /** Seconds, earlier parts of a resumed run included. */
  train_runtime?: Logged;
  train_samples_per_second?: Logged;
  train_steps_per_second?: Logged;
  total_flos?: Logged;
  /** Mean over all updates. */
  train_loss?: Logged;
}

/** What has happened since the last log row. Plain numbers: a checkpoint carries them. */
export interface Window {
  metrics: MetricSums;
  /** Sum of the updates' mean losses, over the updates whose loss was finite. */
  losses: number;
  updates: number;
}

export function emptyWindow(): Window {
  return { metrics: emptySums(), losses: 0, updates: 0 };
}

/** Python's round(x, digits), but for exact ties (which clocks do not give): runtimes and rates. */
function round(x: number, digits: number): number {
  return Number(x.toFixed(digits));
}

/** Entropy, tokens and accuracy as TRL appends them to the row of a window. */
function windowMetrics({ metrics }: Window, tokens: number, compat: 'trl' | null): Partial<LogRow> {
  const { entropy, accuracy } = averages(metrics, compat);
  return { entropy, num_tokens: tokens, mean_token_accuracy: accuracy };
}

/** `loss` is the mean over updates of each update's token mean (transformers/trainer.py, _maybe_log_save_evaluate). */
export function trainRow(
  window: Window,
  last: { gradNorm: number; learningRate: number },
  tokens: number,
  at: Position,
  compat: 'trl' | null,
): LogRow {
  return {
    loss: window.losses / window.updates,
    grad_norm: last.gradNorm,
    learning_rate: last.learningRate,
    ...windowMetrics(window, tokens, compat),
    ...at,
  };
}

/** Rates as transformers' speed_metrics rounds them. */
function speed(prefix: 'train' | 'eval', seconds: number, samples: number, steps: number): Partial<LogRow> {
  const rates = {
    [`${prefix}_samples_per_second`]: round(samples / seconds, 3),
    [`${prefix}_steps_per_second`]: round(steps / seconds, 3),
  };
  return { [`${prefix}_runtime`]: round(seconds, 4), ...(seconds > 0 && rates) };
}

/** `extra` are the caller's own metrics, already named eval_*. */
export function evalRow(
  sums: MetricSums,
  seconds: number,
  tokens: number,
  extra: Record<`eval_${string}`, number>,
  at: Position,
  compat: 'trl' | null,
): LogRow {
  const { loss, entropy, accuracy } = averages(sums, compat);
  return {
    eval_loss: loss,
    ...speed('eval', seconds, sums.rows, sums.batches),
    eval_entropy: entropy,
    eval_num_tokens: tokens,
    eval_mean_token_accuracy: accuracy,
    ...extra,
    ...at,
  };
}

/** The summary. `leftover` is what was not logged before it: TRL lets such metrics slip into this row. */
export function endRow(
  run: { seconds: number; samples: number; steps: number; totalFlos: number; trainLoss: number },
  leftover: { window: Window; tokens: number } | null,
  at: Position,
): LogRow {
  return {
    ...speed('train', run.seconds, run.samples, run.steps),
    total_flos: run.totalFlos,
    train_loss: run.trainLoss,
    ...(leftover && windowMetrics(leftover.window, leftover.tokens, 'trl')),
    ...at,
  };
}
