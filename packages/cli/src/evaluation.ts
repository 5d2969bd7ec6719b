import type { Model } from '@gemmatune/engine';
import { type Evaluation, evaluate, type Generates, judge, METRICS, score } from '@gemmatune/eval';
import type { TargetFormat } from '@gemmatune/template';
import type { Tokenizer } from '@gemmatune/tokenizer';
import type { Context } from './command.js';
import { encodePrompt } from './model-source.js';
import type { Question } from './questions.js';
import { gatherJson, type Ranks } from './ranks/together.js';
import { withProgress } from './terminal/progress.js';
import { percent, table } from './terminal/table.js';

/**
 * Asks the model and scores its calls, with a progress bar on stderr.
 * @param group its ranks divide the questions between them; every one of them gets the whole evaluation
 */
export async function evaluateRows(
  model: Model,
  tokenizer: Tokenizer,
  questions: readonly Question[],
  how: { maxNewTokens: number; format: TargetFormat; title: string },
  { stderr, signal }: Context,
  group: Ranks | null = null,
): Promise<Evaluation> {
  const { title, ...options } = how;
  const { rank, size } = group ?? { rank: 0, size: 1 };
  const mine = questions.filter((_, i) => i % size === rank);
  const own = mine.map(({ prompt }) => (prompt === null ? null : encodePrompt(tokenizer, prompt)));
  const asked: Generates = {
    generate: (prompts, request) =>
      model.generate(
        prompts.map((ids, i) => own[i] ?? ids),
        request,
      ),
  };
  const rows = mine.map(({ row }) => row);
  const evaluation = await withProgress(stderr, (progress) =>
    evaluate(asked, tokenizer, rows, {
      ...options,
      n: rows.length,
      signal,
      onProgress: (done, total) => progress.update(title, done / total, `${done} of ${total} rows`),
    }),
  );
  if (group === null) return evaluation;
  const texts = await gatherJson(
    group,
    title,
    evaluation.predictions.map(({ text }) => text),
  );
  const predictions = questions.map(({ row }, i) => judge(row, texts[i % size]![Math.floor(i / size)]!, how.format));
  return { n_eval: questions.length, metrics: score(predictions), predictions };
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
