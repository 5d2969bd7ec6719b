import { METRICS, type MetricName, type Part } from './metrics/index.js';
import type { Prediction } from './prediction.js';

/** What every metric says of some predictions. */
export interface Scores {
  /** null where no prediction could be scored. */
  metrics: Record<MetricName, number | null>;
  /** What each metric is the ratio of, such as 40 right calls of 49. */
  counts: Record<MetricName, Part>;
}

/** Scores predictions by every metric. */
export function score(predictions: readonly Prediction[]): Scores {
  const counts = byName((metric): Part => {
    const parts = predictions.map((p) => metric.score(p)).filter((part) => part !== null);
    const sum = (of: keyof Part) => parts.reduce((total, part) => total + part[of], 0);
    return { value: sum('value'), weight: sum('weight') };
  });
  const metrics = byName(({ name }) => {
    const { value, weight } = counts[name];
    return weight === 0 ? null : value / weight;
  });
  return { metrics, counts };
}

const byName = <T>(of: (metric: (typeof METRICS)[number]) => T) =>
  Object.fromEntries(METRICS.map((metric) => [metric.name, of(metric)])) as Record<MetricName, T>;
