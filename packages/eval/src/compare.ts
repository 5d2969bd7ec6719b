import type { Evaluation } from './evaluate.js';
import { METRICS } from './metrics/index.js';

export interface Comparison {
  name: string;
  title: string;
  before: number | null;
  after: number | null;
  /** After is better, worse, or neither. */
  change: 'better' | 'worse' | 'same';
}

/** Two evaluations of the same rows side by side, metric by metric. */
export function compare(before: Evaluation, after: Evaluation): Comparison[] {
  return METRICS.map(({ name, title, better }) => {
    const b = before.metrics[name] ?? null;
    const a = after.metrics[name] ?? null;
    const gain = a === null || b === null || a === b ? 0 : a > b === (better === 'higher') ? 1 : -1;
    return { name, title, before: b, after: a, change: gain > 0 ? 'better' : gain < 0 ? 'worse' : 'same' };
  });
}
