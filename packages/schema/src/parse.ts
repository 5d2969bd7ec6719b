import { InputError, shown } from '@gemmatune/base';
import { parseJson } from './conversions.js';
import type { FunctionCall, Json, JsonObject, Message, Tool, ToolRow, TrainingRow } from './types.js';

/**
 * Judges one row of training data. Extra keys are dropped; a call's `arguments` given as JSON text is parsed; a declaration without
 * `type` gets `type: 'function'`.
 * @param value the row, as Json
 * @param where what to call the row in an error, e.g. `train.jsonl line 7`
 * @throws InputError naming the field, what was found and what was expected
 */
export function parseExample(value: unknown, where: string): TrainingRow {
  const row = object(value, where);
  if ('tool_name' in row) return parseToolRow(row, where);
  if ('messages' in row) {
    const messages = parseMessages(row.messages, `${where}: messages`);
    const tools = row.tools ?? undefined;
    return tools === undefined ? { messages } : { messages, tools: parseTools(tools, `${where}: tools`) };
  }
  if ('completion' in row) {
    return {
      prompt: string(row.prompt, `${where}: prompt`),
      completion: string(row.completion, `${where}: completion`),
    };
  }
  if ('text' in row) return { text: string(row.text, `${where}: text`) };
  if ('input_ids' in row) return parseIds(row, where);
  throw new InputError(
    `${where}: found the keys ${Object.keys(row).join(', ') || '(none)'}, expected one of ` +
      '{user_content, tool_name, tool_arguments, hf_tools}, {messages, tools}, {prompt, completion}, {text}, {input_ids, labels}.',
  );
}

function parseToolRow(row: JsonObject, where: string): ToolRow {
  const user = row.user_content ?? null;
  const tool_arguments = string(row.tool_arguments, `${where}: tool_arguments`);
  if (!tool_arguments.trimStart().startsWith('{')) {
    throw new InputError(`${where}: tool_arguments is ${shown(tool_arguments)}, expected the JSON text of an object.`);
  }
  return {
    user_content: user === null ? null : string(user, `${where}: user_content`),
    tool_name: string(row.tool_name, `${where}: tool_name`),
    tool_arguments,
    hf_tools: parseTools(row.hf_tools, `${where}: hf_tools`),
  };
}

function parseIds(row: JsonObject, where: string): { input_ids: number[]; labels?: number[] } {
  const input_ids = numbers(row.input_ids, `${where}: input_ids`);
  const wrong = input_ids.find((id) => id < 0);
  if (wrong !== undefined) throw new InputError(`${where}: input_ids holds ${wrong}, expected ids of at least 0.`);
  if (input_ids.length === 0) throw new InputError(`${where}: input_ids is empty, expected at least one id.`);
  if (row.labels === undefined || row.labels === null) return { input_ids };
  const labels = numbers(row.labels, `${where}: labels`);
  if (labels.length !== input_ids.length) {
    throw new InputError(
      `${where}: labels has ${labels.length} entries, expected ${input_ids.length} as in input_ids.`,
    );
  }
  return { input_ids, labels };
}

/**
 * Judges the turns of a conversation.
 * @throws InputError naming the turn (counted from 0) and the field
 */
export function parseMessages(value: unknown, where: string): Message[] {
  const messages = array(value, where);
  if (messages.length === 0) throw new InputError(`${where}: found no message, expected at least one.`);
  return messages.map((message, i) => parseMessage(message, `${where}[${i}]`));
}

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool'] as const;

function parseMessage(value: Json, where: string): Message {
  const source = object(value, where);
  const role = ROLES.find((known) => known === source.role);
  if (role === undefined)
    throw new InputError(`${where}.role: found ${shown(source.role)}, expected one of ${ROLES.join(', ')}.`);
  const message: Message = { role };
  if (source.content !== undefined && source.content !== null) message.content = source.content;
  if (source.name !== undefined && source.name !== null) message.name = string(source.name, `${where}.name`);
  if (source.tool_calls !== undefined && source.tool_calls !== null) {
    message.tool_calls = array(source.tool_calls, `${where}.tool_calls`).map((call, i) => {
      const at = `${where}.tool_calls[${i}]`;
      const outer = object(call, at);
      const parsed = { type: 'function' as const, function: parseCall(outer.function ?? outer, `${at}.function`) };
      return typeof outer.id === 'string' ? { ...parsed, id: outer.id } : parsed;
    });
  }
  return message;
}

function parseCall(value: Json, where: string): FunctionCall {
  const call = object(value, where);
  const given = call.arguments ?? {};
  const parsed = typeof given === 'string' ? parseText(given, `${where}.arguments`) : given;
  return { name: string(call.name, `${where}.name`), arguments: object(parsed, `${where}.arguments`) };
}

/**
 * Judges tool declarations: a list, or its JSON text. Declarations without the {type, function} wrapper are wrapped.
 * @throws InputError naming the declaration (counted from 0) and the field
 */
export function parseTools(value: unknown, where: string): Tool[] {
  const list = typeof value === 'string' ? parseText(value, where) : value;
  return array(list, where).map((tool, i) => parseTool(tool, `${where}[${i}]`));
}

function parseTool(value: Json, where: string): Tool {
  const outer = object(value, where);
  const inner = object(outer.function ?? outer, `${where}.function`);
  const tool: Tool = { type: 'function', function: { name: printed(inner.name ?? null, `${where}.function.name`) } };
  if (inner.description !== undefined) {
    tool.function.description = printed(inner.description, `${where}.function.description`);
  }
  if (inner.parameters !== undefined && inner.parameters !== null) {
    tool.function.parameters = object(inner.parameters, `${where}.function.parameters`);
  }
  return tool;
}

/** Text, or the word None for null: what the reference chat template prints for a declaration's null name or description. */
function printed(value: Json, where: string): string {
  return value === null ? 'None' : string(value, where);
}

function parseText(text: string, where: string): Json {
  try {
    return parseJson(text);
  } catch {
    throw new InputError(`${where}: found the text ${shown(text)}, expected JSON.`);
  }
}

function object(value: unknown, where: string): JsonObject {
  // Plain objects only: a number kept as text is an object to JavaScript, but not to JSON.
  if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return value as JsonObject;
  }
  throw new InputError(`${where}: found ${shown(value)}, expected an object.`);
}

function array(value: unknown, where: string): Json[] {
  if (Array.isArray(value)) return value;
  throw new InputError(`${where}: found ${shown(value)}, expected a list.`);
}

function string(value: unknown, where: string): string {
  if (typeof value === 'string') return value;
  throw new InputError(`${where}: found ${shown(value)}, expected text.`);
}

function numbers(value: unknown, where: string): number[] {
  const list = array(value, where);
  const wrong = list.findIndex((item) => !Number.isInteger(item));
  if (wrong >= 0) throw new InputError(`${where}[${wrong}]: found ${shown(list[wrong])}, expected an integer.`);
  return list as number[];
}
