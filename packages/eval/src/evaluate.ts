import { expectArgument, expectOptions } from '@gemmatune/base';
import type { GenerateRequest } from '@gemmatune/engine';
import type { Tokenizer } from '@gemmatune/tokenizer';
import { judge, type Prediction } from './prediction.js';
import type { Question } from './question.js';
import { type Scores, score } from './score.js';

/** What evaluation asks of a model: an engine Model, or anything that generates. */
export interface Generates {
  generate(prompts: readonly Int32Array[], request: GenerateRequest): Promise<Int32Array[]>;
}

/** Ends of a FunctionGemma generation: <eos>, <start_function_response>, <end_of_turn>. */
export const STOP_TOKENS = ['<eos>', '<start_function_response>', '<end_of_turn>'] as const;

export interface EvaluateOptions {
  /** Default 128. */
  maxNewTokens?: number;
  /** Sequences decoded side by side; default 16. The result does not depend on it. */
  batchSize?: number;
  signal?: AbortSignal;
  onProgress?: (done: number, total: number) => void;
}

export interface Evaluation extends Scores {
  n_eval: number;
  predictions: Prediction[];
}

/** Asks the model all questions, greedily and batched, and scores its calls. */
export async function evaluate(
  model: Generates,
  tokenizer: Tokenizer,
  questions: readonly Question[],
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  return scored(questions, await answers(model, tokenizer, questions, options));
}

const OPTIONS: Record<keyof EvaluateOptions, true> = {
  ...{ maxNewTokens: true, batchSize: true, signal: true, onProgress: true },
};

/** What the model generates for each question, special tokens removed. */
export async function answers(
  model: Generates,
  tokenizer: Tokenizer,
  questions: readonly Question[],
  options: EvaluateOptions = {},
): Promise<string[]> {
  expectArgument('evaluate', 'model', model, typeof model?.generate === 'function', 'a Model');
  expectArgument('evaluate', 'tokenizer', tokenizer, typeof tokenizer?.encode === 'function', 'a Tokenizer');
  const asked = Array.isArray(questions) && questions.every((question) => typeof question?.prompt === 'string');
  expectArgument('evaluate', 'questions', questions, asked, 'questions, as readQuestions and questionOf give them');
  expectOptions('evaluate', options, OPTIONS);
  const { maxNewTokens = 128, batchSize = 16, signal, onProgress } = options;
  const prompts = questions.map(({ prompt }) => encodePrompt(tokenizer, prompt));
  const outputs = await model.generate(prompts, {
    ...{ maxNewTokens, batchSize, stopIds: stopIds(tokenizer) },
    ...(signal && { signal }),
    onProgress: (done) => onProgress?.(done, questions.length),
  });
  return outputs.map((ids) => tokenizer.decode(ids, { skipSpecialTokens: true }));
}

/** Each answer judged once, and all of them by every metric. */
export function scored(questions: readonly Question[], texts: readonly string[]): Evaluation {
  const predictions = questions.map((question, i) => judge(question, texts[i]!));
  return { n_eval: questions.length, ...score(predictions), predictions };
}

/** Token ids of a prompt. Templates write <bos> themselves: it is not added a second time. */
export function encodePrompt(tokenizer: Tokenizer, text: string): Int32Array {
  return tokenizer.encode(text, { addSpecialTokens: !text.startsWith('<bos>') });
}

/** Ids of STOP_TOKENS that the vocabulary has. */
export function stopIds(tokenizer: Tokenizer): number[] {
  return STOP_TOKENS.map((t) => tokenizer.idOf(t)).filter((id) => id !== undefined);
}
