import { METRICS } from '@gemmatune/eval';
import { type FlatScores, ratio } from '@gemmatune/run';
import type { Screen } from './command.js';
import { table } from './terminal/table.js';

/** All metrics of one or more evaluations, a column each. */
export function metricsTable(columns: Readonly<Record<string, FlatScores>>, { columns: width }: Screen): string {
  const rows = METRICS.map(({ name, title, better }) => [
    title,
    ...Object.values(columns).map((scores) => ratio(scores[name], scores.counts?.[name])),
    better === 'higher' ? 'higher is better' : 'lower is better',
  ]);
  return table([['metric', ...Object.keys(columns), ''], ...rows], width);
}
