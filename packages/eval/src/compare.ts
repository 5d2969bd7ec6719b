import { METRICS, type MetricName, type Part } from './metrics/index.js';

/** Scores as files keep them: names that this version does not know stay aside, and counts may be missing. */
export interface KnownScores {
  metrics: Readonly<Partial<Record<MetricName, number | null>>>;
  counts?: Readonly<Partial<Record<MetricName, Part>>> | undefined;
}

export interface Comparison {
  name: MetricName;
  title: string;
  better: 'higher' | 'lower';
  before: number | null;
  after: number | null;
  /** After is better or worse; the same; or a ratio of other cases, such as the calls that could be read: then neither. */
  change: 'better' | 'worse' | 'same' | 'other cases';
}

/** Metrics of two evaluations of the same rows, one beside the other. */
export function compare(before: KnownScores, after: KnownScores): Comparison[] {
  return METRICS.map(({ name, title, better }) => {
    const [b, a] = [before.metrics[name] ?? null, after.metrics[name] ?? null];
    const [of, now] = [before.counts?.[name]?.weight, after.counts?.[name]?.weight];
    return { name, title, better, before: b, after: a, change: changeOf(b, a, better, of !== now) };
  });
}

function changeOf(
  before: number | null,
  after: number | null,
  better: Comparison['better'],
  otherCases: boolean,
): Comparison['change'] {
  if (before === null || after === null || before === after) return 'same';
  if (otherCases) return 'other cases';
  return after > before === (better === 'higher') ? 'better' : 'worse';
}
