import {
  answers,
  type EvaluateOptions,
  type Evaluation,
  type Generates,
  type MetricName,
  type Question,
  type Scores,
  scored,
} from '@gemmatune/eval';
import type { Tokenizer } from '@gemmatune/tokenizer';
import { ALONE, type Ranks, together } from '@gemmatune/train';

/**
 * Asks the model and scores its calls.
 * @param what names the evaluation to the other ranks
 * @param ranks divide the questions between them; every one of them gets the whole evaluation
 */
export async function evaluateOnRanks(
  model: Generates,
  tokenizer: Tokenizer,
  questions: readonly Question[],
  options: EvaluateOptions,
  what: string,
  ranks: Ranks = ALONE,
): Promise<Evaluation> {
  const { rank, size } = ranks;
  const mine = questions.filter((_, i) => i % size === rank);
  const texts = await together(ranks, what, () => answers(model, tokenizer, mine, options));
  return scored(
    questions,
    questions.map((_, i) => texts[i % size]![Math.floor(i / size)]!),
  );
}

/** An evaluation without its predictions, as results and records have it. */
export type FlatScores = { n_eval: number } & Record<MetricName, number | null> & Pick<Scores, 'counts'>;

/** The same as a file keeps it: of another version, perhaps. */
export type KeptScores = Readonly<Partial<FlatScores>>;

/** `{n_eval, tool_accuracy, tc_cer, …, counts}` */
export const flat = ({ n_eval, metrics, counts }: Evaluation): FlatScores => ({ n_eval, ...metrics, counts });
