import type { Prediction } from '../prediction.js';

/** A part of a ratio: so many of so many. */
export interface Part {
  value: number;
  weight: number;
}

/**
 * A metric of one prediction. `score` returns a part of a ratio (the result over n predictions is the sum of values over the sum of
 * weights), or null where the metric does not apply.
 */
export interface Metric<Name extends string = string> {
  readonly name: Name;
  /** One line for people. */
  readonly title: string;
  /** Larger is better, or smaller is. */
  readonly better: 'higher' | 'lower';
  score(prediction: Prediction): Part | null;
}

/** A yes-or-no score. */
export const hit = (yes: boolean): Part => ({ value: yes ? 1 : 0, weight: 1 });
