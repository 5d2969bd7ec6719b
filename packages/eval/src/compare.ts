import type { Evaluation } from './evaluate.js';
import { METRICS } from './metrics/index.js';

export interface Comparison {
  name: string;
  title: string;
  better: 'higher' | 'lower';
  before: number | null;
  after: number | null;
  /** After is better, worse, or neither. */
  change: 'better' | 'worse' | 'same';
}

/** Metrics of two evaluations of the same rows, one beside the other. */
export function compare(before: Evaluation['metrics'], after: Evaluation['metrics']): Comparison[] {
  return METRICS.map(({ name, title, better }) => {
    const b = before[name] ?? null;
    const a = after[name] ?? null;
    const gain = a === null || b === null || a === b ? 0 : a > b === (better === 'higher') ? 1 : -1;
    return { name, title, better, before: b, after: a, change: gain > 0 ? 'better' : gain < 0 ? 'worse' : 'same' };
  });
}
