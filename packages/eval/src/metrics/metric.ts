import type { Prediction } from '../prediction.js';

/**
 * A metric of one prediction. `score` returns a part of a ratio (the result over n predictions is the sum of values over the sum of
 * weights), or null where the metric does not apply.
 */
export interface Metric {
  readonly name: string;
  /** One line for people. */
  readonly title: string;
  /** Larger is better, or smaller is. */
  readonly better: 'higher' | 'lower';
  score(prediction: Prediction): { value: number; weight: number } | null;
}

/** A yes-or-no score. */
export const hit = (yes: boolean): { value: number; weight: number } => ({ value: yes ? 1 : 0, weight: 1 });
