import { setImmediate } from 'node:timers/promises';
import { type EncodedRow, packBatch, sequentialBatches } from '@gemmatune/data';
import type { Model } from '@gemmatune/engine';
import type { TrainOptions } from './config.js';
import { TrainError } from './errors.js';
import type { LogRow, TrainEvent } from './events.js';
import { evalRow, type Position } from './log.js';
import { addBatch, emptySums } from './metrics.js';

/** Further metrics of an evaluation, such as tool accuracy by generation; each is logged as eval_<name>. */
export type EvalMetrics = (signal?: AbortSignal) => Promise<Record<string, number>>;

/**
 * Scores all evaluation rows in their own order, forward only.
 * @returns the log row; null where `signal` aborted it after a batch
 */
export async function* evaluation(
  model: Pick<Model, 'score'>,
  data: { rows: readonly EncodedRow[]; items: number[][]; metrics: EvalMetrics | undefined },
  { perDeviceEvalBatchSize, compat }: TrainOptions,
  at: Position & { tokens: number },
  signal: AbortSignal | undefined,
): AsyncGenerator<TrainEvent, LogRow | null, undefined> {
  const { tokens, ...position } = at;
  const began = performance.now();
  const sums = emptySums();
  const batches = sequentialBatches(data.items.length, perDeviceEvalBatchSize);
  for (const [i, items] of batches.entries()) {
    if (signal?.aborted) return null;
    const rows = items.flatMap((item) => data.items[item]!.map((row) => data.rows[row]!));
    addBatch(sums, await model.score(packBatch(rows)), items.length);
    yield { type: 'evaluating', step: position.step, batch: i + 1, batches: batches.length };
    await setImmediate(); // where the model answers at once, timers and signals still get their turn
  }
  const seconds = (performance.now() - began) / 1000;
  if (signal?.aborted) return null;
  const own = (await data.metrics?.(signal)) ?? {};
  if (signal?.aborted) return null;
  const extra = Object.fromEntries(Object.entries(own).map(([name, value]) => [`eval_${name}`, value]));
  return evalRow(sums, seconds, tokens, extra, position, compat);
}

/** The metric that decides what is best. @throws TrainError ERR_GEMMATUNE_ARGUMENT where the row has no such metric */
export function decidingMetric(row: LogRow, metricForBestModel: string): number {
  const name = metricForBestModel.startsWith('eval_') ? metricForBestModel : `eval_${metricForBestModel}`;
  const metric = row[name];
  if (typeof metric === 'number') return metric;
  const known = Object.keys(row).filter((key) => key.startsWith('eval_'));
  throw new TrainError(
    'ERR_GEMMATUNE_ARGUMENT',
    `metricForBestModel is '${metricForBestModel}', but an evaluation has only ${known.join(', ')}.`,
  );
}
