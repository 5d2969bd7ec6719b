/** Questions of a file to a model, as evaluate and predict have them. */
import { type Evaluation, evaluate, type Question } from '@gemmatune/eval';
import { type DeviceOptions, ModelText, notAskedLine, readQuestions } from '@gemmatune/run';
import type { TargetFormat } from '@gemmatune/template';
import type { Context } from './command.js';
import { modelFolder, openModel } from './open-model.js';
import { withProgress } from './terminal/progress.js';

export interface Asked {
  folder: string;
  source: ModelText;
  questions: Question[];
}

/** The first `n` questions of a file, before the model is loaded: a wrong row is told at once. */
export async function askedOf(
  { model, rows, format }: { model: string; rows: string; format: TargetFormat },
  n: number,
  context: Context,
): Promise<Asked> {
  const folder = await modelFolder(model, context);
  const source = new ModelText(folder);
  const { questions, leftOut } = await readQuestions(rows, source, format, n);
  if (leftOut.length > 0) context.note(notAskedLine(rows, leftOut));
  return { folder, source, questions };
}

/** Loads the model and asks it, with a progress bar on stderr. */
export async function askAll(
  { folder, source, questions }: Asked,
  title: string,
  { maxNewTokens, ...device }: DeviceOptions & { maxNewTokens: number },
  context: Context,
): Promise<Evaluation> {
  const tokenizer = await source.tokenizer();
  await using model = await openModel(folder, device, context);
  const { stderr, signal } = context;
  return withProgress(stderr, (progress) =>
    evaluate(model, tokenizer, questions, {
      ...{ maxNewTokens, signal },
      onProgress: (done, total) => progress.update(title, done / total, `${done} of ${total} rows`),
    }),
  );
}
