import type { FunctionCall, Tool, ToolRow } from '@gemmatune/schema';
import { parseCalls } from '@gemmatune/template';
import { firstBlock } from './call-block.js';
import type { Question } from './question.js';

/** One generation beside its gold call: what every metric scores. */
export interface Prediction extends Question {
  /** Generated text, special tokens removed (`<start_function_call>` and `<escape>` are not special and stay). */
  text: string;
  /** The first call block of the generation, '' if there is none. */
  block: string;
  /** Calls read from the generation, in order; those that cannot be read are counted in `unreadable`. */
  calls: FunctionCall[];
  unreadable: number;
}

/** Reads a generation against the gold call of its question. */
export function judge(question: Question, text: string): Prediction {
  const { calls, errors } = parseCalls(text);
  return { ...question, text, block: firstBlock(text), calls, unreadable: errors.length };
}

/** The declaration a call refers to, if the row offers it. */
export function toolOf(row: ToolRow, name: string): Tool | undefined {
  return row.hf_tools.find((t) => t.function.name === name);
}
