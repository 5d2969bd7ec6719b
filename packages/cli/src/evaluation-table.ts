import { METRICS } from '@gemmatune/eval';
import { percent } from '@gemmatune/run';
import { table } from './terminal/table.js';

/** All metrics of one or more evaluations, a column each. */
export function metricsTable(columns: Readonly<Record<string, Readonly<Record<string, number | null>>>>): string {
  const rows = METRICS.map(({ name, title, better }) => [
    title,
    ...Object.values(columns).map((metrics) => percent(metrics[name])),
    better === 'higher' ? 'higher is better' : 'lower is better',
  ]);
  return table([['metric', ...Object.keys(columns), ''], ...rows]);
}
