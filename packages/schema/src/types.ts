import type { JsonNumber } from './exact-json.js';

/** Any value JSON can hold. A number that Python prints otherwise than JavaScript (5.0, 1e16, 2^53 + 1) may stand as a JsonNumber. */
export type Json = null | boolean | number | JsonNumber | string | Json[] | { [key: string]: Json };

/** A JSON object. */
export type JsonObject = { [key: string]: Json };

/** A callable function as the Hugging Face stack declares it; `parameters` is a JSON Schema. */
export interface Tool {
  type: 'function';
  function: { name: string; description?: string; parameters?: JsonObject };
}

/** One call a model makes (or should make). `arguments` is the parsed object, never a JSON string. */
export interface FunctionCall {
  name: string;
  arguments: JsonObject;
}

/** One turn of a conversation, in the layout of transformers' chat templates. */
export interface Message {
  role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  content?: Json;
  /** Name of the function a `tool` message answers for. */
  name?: string;
  tool_calls?: { type?: 'function'; id?: string; function: FunctionCall }[];
}

/**
 * One usable function-calling row, as `prepare` writes it: the user's words, the gold call, the tools on offer.
 * `tool_arguments` is the exact text of Python's `json.dumps(arguments, ensure_ascii=False)`.
 */
export interface ToolRow {
  user_content: string | null;
  tool_name: string;
  tool_arguments: string;
  hf_tools: Tool[];
}

/** The five shapes of training rows that `finetune` takes. */
export type TrainingRow =
  | ToolRow
  | { messages: Message[]; tools?: Tool[] | string }
  | { prompt: string; completion: string }
  | { text: string }
  | { input_ids: number[]; labels?: number[] };
