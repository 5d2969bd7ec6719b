import type { GenerateRequest } from '@gemmatune/engine';
import { type JsonObject, parseExactJson, plainJson, type ToolRow } from '@gemmatune/schema';
import { parseCalls, renderToolRow, type TargetFormat } from '@gemmatune/template';
import type { Tokenizer } from '@gemmatune/tokenizer';
import { METRICS } from './metrics/index.js';
import { firstBlock, type Prediction } from './prediction.js';

/** What evaluation asks of a model: an engine Model, or anything that generates. */
export interface Generates {
  generate(prompts: readonly Int32Array[], request: GenerateRequest): Promise<Int32Array[]>;
}

/** Ends of a FunctionGemma generation: <eos>, <start_function_response>, <end_of_turn>. */
export const STOP_TOKENS = ['<eos>', '<start_function_response>', '<end_of_turn>'] as const;

export interface EvaluateOptions {
  /** Rows to score, from the first; default 50, as the tutorial does. */
  n?: number;
  /** Default 128. */
  maxNewTokens?: number;
  /** Default 'native'. */
  format?: TargetFormat;
  /** Sequences decoded side by side; default 16. The result does not depend on it. */
  batchSize?: number;
  signal?: AbortSignal;
  onProgress?: (done: number, total: number) => void;
}

export interface Evaluation {
  n_eval: number;
  /** By metric name; null where no prediction could be scored. */
  metrics: Record<string, number | null>;
  predictions: Prediction[];
}

/** The prompt of a row as text: everything up to what the model must produce. */
export function promptOf(row: ToolRow, format: TargetFormat): string {
  return renderToolRow(row, { format })
    .filter((s) => s.role === 'prompt')
    .map((s) => s.text)
    .join('');
}

/** Reads a generation against its row's gold call. */
export function judge(row: ToolRow, text: string, format: TargetFormat): Prediction {
  const { calls, errors } = parseCalls(text);
  const target = renderToolRow(row, { format })
    .filter((s) => s.role === 'answer')
    .map((s) => s.text)
    .join('');
  return {
    row,
    format,
    text,
    // Python's JSON: NaN and Infinity are values there.
    gold: { name: row.tool_name, arguments: plainJson(parseExactJson(row.tool_arguments)) as JsonObject },
    goldBlock: firstBlock(target),
    block: firstBlock(text),
    calls,
    unreadable: errors.length,
  };
}

/** Scores predictions by every metric. */
export function score(predictions: readonly Prediction[]): Record<string, number | null> {
  return Object.fromEntries(
    METRICS.map((metric) => {
      const parts = predictions.map((p) => metric.score(p)).filter((part) => part !== null);
      const weight = parts.reduce((sum, part) => sum + part.weight, 0);
      return [metric.name, weight === 0 ? null : parts.reduce((sum, part) => sum + part.value, 0) / weight];
    }),
  );
}

/** Generates greedily for the first n rows, all of them batched, and scores the calls. */
export async function evaluate(
  model: Generates,
  tokenizer: Tokenizer,
  rows: readonly ToolRow[],
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const format = options.format ?? 'native';
  const chosen = rows.slice(0, options.n ?? 50);
  // The rendered prompt starts with <bos> already.
  const prompts = chosen.map((row) => tokenizer.encode(promptOf(row, format), { addSpecialTokens: false }));
  const outputs = await model.generate(prompts, {
    maxNewTokens: options.maxNewTokens ?? 128,
    batchSize: options.batchSize ?? 16,
    stopIds: stopIds(tokenizer),
    ...(options.signal ? { signal: options.signal } : {}),
    onProgress: (done) => options.onProgress?.(done, chosen.length),
  });
  const predictions = outputs.map((ids, i) =>
    judge(chosen[i]!, tokenizer.decode(ids, { skipSpecialTokens: true }), format),
  );
  return { n_eval: chosen.length, metrics: score(predictions), predictions };
}

/** Ids of STOP_TOKENS that the vocabulary has. */
export function stopIds(tokenizer: Tokenizer): number[] {
  return STOP_TOKENS.map((t) => tokenizer.idOf(t)).filter((id) => id !== undefined);
}
