const BLOCK = /<start_function_call>[\s\S]*?<end_function_call>/;

/** The first call block of a text, as the tutorial cuts it out; '' if there is none. */
export function firstBlock(text: string): string {
  return BLOCK.exec(text)?.[0] ?? '';
}

/** The tool name as the tutorial reads it: a name with other characters than these (a dot, say) never matches. */
export function tutorialName(text: string): string | null {
  return /<start_function_call>call:([a-zA-Z0-9_]+)\{/.exec(text)?.[1] ?? null;
}
