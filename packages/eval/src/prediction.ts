import type { FunctionCall, Tool, ToolRow } from '@gemmatune/schema';
import type { TargetFormat } from '@gemmatune/template';

/** One generation beside its gold call: what every metric scores. */
export interface Prediction {
  row: ToolRow;
  format: TargetFormat;
  /** Generated text, special tokens removed (`<start_function_call>` and `<escape>` are not special and stay). */
  text: string;
  gold: FunctionCall;
  /** The gold call as text, from `<start_function_call>` to `<end_function_call>`. */
  goldBlock: string;
  /** The first such block of the generation, '' if there is none. */
  block: string;
  /** Calls read from the generation, in order; those that cannot be read are counted in `unreadable`. */
  calls: FunctionCall[];
  unreadable: number;
}

const BLOCK = /<start_function_call>[\s\S]*?<end_function_call>/;

/** The first call block of a text, as the tutorial cuts it out; '' if there is none. */
export function firstBlock(text: string): string {
  return BLOCK.exec(text)?.[0] ?? '';
}

/** The tool name as the tutorial reads it: a name with other characters than these (a dot, say) never matches. */
export function tutorialName(text: string): string | null {
  return /<start_function_call>call:([a-zA-Z0-9_]+)\{/.exec(text)?.[1] ?? null;
}

/** The declaration a call refers to, if the row offers it. */
export function toolOf(row: ToolRow, name: string): Tool | undefined {
  return row.hf_tools.find((t) => t.function.name === name);
}
