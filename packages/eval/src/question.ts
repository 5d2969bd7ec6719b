import { type FunctionCall, type JsonObject, parseExactJson, plainJson, type ToolRow } from '@gemmatune/schema';
import { renderToolRow, type TargetFormat } from '@gemmatune/template';
import { firstBlock } from './call-block.js';

/** What a model is asked, and the call that it should answer with. */
export interface Question {
  row: ToolRow;
  format: TargetFormat;
  /** Everything up to what the model must produce, `<bos>` included. */
  prompt: string;
  gold: FunctionCall;
  /** The gold call as text, from `<start_function_call>` to `<end_function_call>`. */
  goldBlock: string;
}

/**
 * A row as it is trained on, cut where the answer begins.
 * @param prompt instead of the row's own, for a conversation that the model's template has rendered
 */
export function questionOf(row: ToolRow, format: TargetFormat, prompt?: string): Question {
  const segments = renderToolRow(row, { format });
  const textOf = (role: 'prompt' | 'answer') =>
    segments
      .filter((segment) => segment.role === role)
      .map(({ text }) => text)
      .join('');
  return {
    row,
    format,
    prompt: prompt ?? textOf('prompt'),
    // Python's JSON: NaN and Infinity are values there.
    gold: { name: row.tool_name, arguments: plainJson(parseExactJson(row.tool_arguments)) as JsonObject },
    goldBlock: firstBlock(textOf('answer')),
  };
}
