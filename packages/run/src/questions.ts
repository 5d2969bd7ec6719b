/** What a model is asked in an evaluation: rows of prepare, and conversations that end in one call. */
import { counted, InputError, required } from '@gemmatune/base';
import { readTrainingRows } from '@gemmatune/data';
import { type Question, questionOf } from '@gemmatune/eval';
import { exactJson, printExactJson, type ToolRow, type TrainingRow } from '@gemmatune/schema';
import type { TargetFormat } from '@gemmatune/template';
import type { ModelText } from './model.js';

export const questionsOption = required(
  'Rows of prepare, or conversations {messages, tools} that end in one call; a .jsonl, .json or .parquet file.',
  'a file of rows',
);

export interface Questions {
  questions: Question[];
  /** Lines of conversations that do not end in an assistant turn with exactly one call: there is no gold call to compare with. */
  leftOut: number[];
}

/**
 * The questions of a file, the first `n` of them.
 * @throws InputError naming the first row of another kind; where no row is left
 */
export async function readQuestions(
  path: string,
  source: ModelText,
  format: TargetFormat,
  n = Number.POSITIVE_INFINITY,
): Promise<Questions> {
  const questions: Question[] = [];
  const leftOut: number[] = [];
  for await (const { line, row } of readTrainingRows(path)) {
    if ('tool_name' in row) questions.push(questionOf(row, format));
    else if ('messages' in row) {
      if (format !== 'native')
        throw new InputError(
          `${path} line ${line}: found a conversation, expected a row of prepare: only those can be asked in the ${format} format.`,
        );
      const question = await ofConversation(row, source);
      if (question === undefined) leftOut.push(line);
      else questions.push(question);
    } else
      throw new InputError(
        `${path} line ${line}: found a row with ${Object.keys(row).join(', ')}, expected a row of prepare {user_content, tool_name, tool_arguments, hf_tools}, or a conversation {messages, tools} that ends in one call.`,
      );
    if (questions.length >= n) break;
  }
  if (questions.length === 0)
    throw new InputError(
      `${path}: found ${counted(leftOut.length, 'conversation')}, none of which ends in an assistant turn with exactly one call; expected at least one to score.`,
    );
  return { questions, leftOut };
}

async function ofConversation(
  { messages, tools }: Extract<TrainingRow, { messages: unknown }>,
  source: ModelText,
): Promise<Question | undefined> {
  const asked = messages.slice(0, -1);
  const user = asked.findLast(({ role }) => role === 'user');
  const answer = messages.at(-1);
  const [call, another] = answer?.role === 'assistant' ? (answer.tool_calls ?? []) : [];
  if (user === undefined || call === undefined || another !== undefined) return undefined;
  const offered = (tools ?? []) as ToolRow['hf_tools'];
  const row = {
    user_content: typeof user.content === 'string' ? user.content : null,
    tool_name: call.function.name,
    tool_arguments: printExactJson(exactJson(call.function.arguments)),
    hf_tools: offered,
  };
  // The prompt by the model's own template: its developer turn stays.
  return questionOf(row, 'native', (await source.template()).render(asked, offered, { addGenerationPrompt: true }));
}
