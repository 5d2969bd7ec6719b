import type { Model } from '@gemmatune/engine';
import { type Evaluation, evaluate, METRICS } from '@gemmatune/eval';
import type { ToolRow } from '@gemmatune/schema';
import type { Tokenizer } from '@gemmatune/tokenizer';
import type { Context } from './command.js';
import type { CallFormat } from './rows.js';
import { Progress } from './terminal/progress.js';
import { percent, table } from './terminal/table.js';

/** Evaluates rows with a progress bar on stderr. */
export async function evaluateRows(
  model: Model,
  tokenizer: Tokenizer,
  rows: readonly ToolRow[],
  how: { maxNewTokens: number; format: CallFormat; title: string },
  { stderr, signal }: Context,
): Promise<Evaluation> {
  const { title, ...options } = how;
  const progress = new Progress(stderr);
  try {
    return await evaluate(model, tokenizer, rows, {
      ...options,
      n: rows.length,
      signal,
      onProgress: (done, total) => progress.update(title, done / total, `${done} of ${total} rows`),
    });
  } finally {
    progress.end();
  }
}

/** `{n_eval, tool_accuracy, tc_cer, …}` */
export function flat({ n_eval, metrics }: Evaluation): Record<string, number | null> {
  return { n_eval, ...metrics };
}

/** All metrics of one or more evaluations, a column each. */
export function metricsTable(columns: Readonly<Record<string, Readonly<Record<string, number | null>>>>): string {
  const rows = METRICS.map(({ name, title, better }) => [
    title,
    ...Object.values(columns).map((metrics) => percent(metrics[name])),
    better === 'higher' ? 'higher is better' : 'lower is better',
  ]);
  return table([['metric', ...Object.keys(columns), ''], ...rows]);
}
