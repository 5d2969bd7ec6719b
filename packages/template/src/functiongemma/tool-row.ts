/** Rows of `prepare` as conversations: one question, one gold call. */
import { type JsonObject, parseJson, type ToolRow } from '@gemmatune/schema';
import type { TemplateMessage, TemplateTool } from '../conversation.js';
import { TemplateError } from './declaration.js';
import { isMapping } from './python.js';
import { renderSegments, type Segment } from './render.js';

/** The line FunctionGemma was trained to see first; without it the base model answers in prose. No full stop. */
export const DEVELOPER_LINE = 'You are a model that can do function calling with the following functions';

/**
 * `native`: the call as FunctionGemma writes it, `call:NAME{key:<escape>value<escape>,…}`, ended by
 * `<start_function_response>`. `tutorial`: all arguments as one JSON text,
 * `call:NAME{args:<escape>{"key": "value"}<escape>}`, ended by `<eos>`, which TRL appends to text rows.
 */
export type TargetFormat = 'native' | 'tutorial';

export interface ToolRowOptions {
  /** Default native. */
  format?: TargetFormat;
  bosToken?: string;
  /** Ends the answer of the tutorial format. Default `<eos>`. */
  eosToken?: string;
}

/** The row's conversation: developer line, the user's words, the gold call with its numbers kept exactly. */
export function toolRowMessages(row: ToolRow): TemplateMessage[] {
  return [...questionMessages(row), { role: 'assistant', tool_calls: [{ type: 'function', function: goldCall(row) }] }];
}

/** The row as prompt and answer: two pieces, the first of which is what evaluation feeds the model. */
export function renderToolRow(row: ToolRow, options: ToolRowOptions = {}): [prompt: Segment, answer: Segment] {
  const { format = 'native', bosToken = '<bos>', eosToken = '<eos>' } = options;
  const tools: TemplateTool[] = row.hf_tools;
  if (format === 'native') return renderSegments(toolRowMessages(row), tools, { bosToken }) as [Segment, Segment];
  const [prompt] = renderSegments(questionMessages(row), tools, { bosToken, addGenerationPrompt: true }) as [Segment];
  return [prompt, { role: 'answer', text: `${formatTutorialCall(row)}${eosToken}`, turn: 0 }];
}

/** The tutorial's call block, arguments as the row's own text. */
export function formatTutorialCall({
  tool_name,
  tool_arguments,
}: Pick<ToolRow, 'tool_name' | 'tool_arguments'>): string {
  return `<start_function_call>call:${tool_name}{args:<escape>${tool_arguments}<escape>}<end_function_call>`;
}

function questionMessages(row: ToolRow): TemplateMessage[] {
  return [
    { role: 'developer', content: DEVELOPER_LINE },
    { role: 'user', content: row.user_content },
  ];
}

function goldCall(row: ToolRow): { name: string; arguments: JsonObject } {
  const parsed = parseJson(row.tool_arguments);
  if (!isMapping(parsed)) {
    throw new TemplateError(
      `tool_arguments of ${row.tool_name} is ${row.tool_arguments}, expected the JSON text of an object.`,
    );
  }
  return { name: row.tool_name, arguments: parsed };
}
