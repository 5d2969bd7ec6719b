import { setImmediate } from 'node:timers/promises';
import { type EncodedRow, packBatch, sequentialBatches } from '@gemmatune/data';
import type { Model } from '@gemmatune/engine';
import type { TrainOptions } from './config.js';
import { TrainError } from './errors.js';
import type { TrainEvent } from './events.js';
import { evalRow, type LogRow, type Position } from './log.js';
import { addBatch, emptySums } from './metrics.js';
import { gatherParts, type Ranks, together } from './ranks.js';
import type { MicroBatch } from './state.js';

/**
 * Further metrics of an evaluation, such as tool accuracy by generation; each is logged as eval_<name>. Every rank is asked, with a complete copy of the
 * model, and rank 0's answer counts: ranks that share the work gather it with `ranks`. `signal` may abort on one rank alone.
 */
export type EvalMetrics = (signal: AbortSignal | undefined, ranks: Ranks) => Promise<Record<string, number>>;

/**
 * Scores all evaluation rows in their own order, forward only. Ranks take batches in turn; sums are made batch by batch, so that the row is
 * what one rank would log (with compat 'trl' too: TRL itself weights some batches twice where there are more).
 * @returns the log row; null where a `signal` aborted it after a batch
 */
export async function* evaluation(
  model: Pick<Model, 'score' | 'completeCopies'>,
  ranks: Ranks,
  data: { rows: readonly EncodedRow[]; items: number[][]; metrics: EvalMetrics | undefined },
  { perDeviceEvalBatchSize, compat }: TrainOptions,
  at: Position & { tokens: number },
  signal: AbortSignal | undefined,
): AsyncGenerator<TrainEvent, LogRow | null, undefined> {
  const { tokens, ...position } = at;
  const began = performance.now();
  if (ranks.size > 1) await model.completeCopies();
  const batches = sequentialBatches(data.items.length, perDeviceEvalBatchSize);
  const microBatches: MicroBatch[] = [];
  for (let i = ranks.rank; i < batches.length && !signal?.aborted; i += ranks.size) {
    const items = batches[i]!;
    const rows = items.flatMap((item) => data.items[item]!.map((row) => data.rows[row]!));
    const { logprobs: _, ...metrics } = await model.score(packBatch(rows));
    microBatches.push({ metrics, items: items.length });
    const batch = Math.min(microBatches.length * ranks.size, batches.length);
    yield { type: 'evaluating', step: position.step, batch, batches: batches.length };
    await setImmediate(); // where the model answers at once, timers and signals still get their turn
  }
  const what = `the evaluation after update ${position.step}`;
  const parts = await gatherParts(ranks, what, { microBatches, aborted: signal?.aborted ?? false });
  if (parts.some(({ aborted }) => aborted)) return null;
  const sums = emptySums();
  for (let i = 0; i < batches.length; i++) {
    const { metrics, items } = parts[i % ranks.size]!.microBatches[Math.floor(i / ranks.size)]!;
    addBatch(sums, metrics, items);
  }
  const scored = performance.now();

  const [first, ...others] = await together(ranks, `the metrics after update ${position.step}`, async () => ({
    seconds: (scored - began) / 1000,
    own: (await data.metrics?.(signal, ranks)) ?? {},
    aborted: signal?.aborted ?? false,
  }));
  if ([first!, ...others].some(({ aborted }) => aborted)) return null;
  const extra: Record<`eval_${string}`, number> = Object.fromEntries(
    Object.entries(first!.own).map(([name, value]) => [`eval_${name}`, value]),
  );
  return evalRow(sums, first!.seconds, tokens, extra, position, compat);
}

/** The metric that decides what is best. @throws TrainError ERR_GEMMATUNE_ARGUMENT where the row has no such metric */
export function decidingMetric(row: LogRow, metricForBestModel: string): number {
  const name = `eval_${metricForBestModel.replace(/^eval_/, '')}` as const;
  const metric = row[name];
  if (typeof metric === 'number') return metric;
  const known = Object.keys(row).filter((key) => key.startsWith('eval_'));
  throw new TrainError(
    'ERR_GEMMATUNE_ARGUMENT',
    `\`metricForBestModel\` is '${metricForBestModel}', but an evaluation has only ${known.join(', ')}.`,
  );
}
