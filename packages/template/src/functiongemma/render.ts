/**
 * FunctionGemma's chat template, written by hand: the text of google/functiongemma-270m-it's chat_template.jinja as
 * transformers renders it, byte for byte, and which part of it the model has to produce.
 */
import { shown } from '@gemmatune/base';
import type { Json, JsonObject } from '@gemmatune/schema';
import type { TemplateMessage, TemplateTool } from '../conversation.js';
import { formatDeclaration, formatFields, TemplateError } from './declaration.js';
import { isMapping, isTruthy, item, iterate, text, trim } from './python.js';

export interface RenderOptions {
  /** End with `<start_of_turn>model\n`, where the model goes on (after a tool response: with nothing). Default false. */
  addGenerationPrompt?: boolean;
  /** Default `<bos>`. */
  bosToken?: string;
}

/**
 * A piece of rendered text. `answer` pieces are what the model must produce, the token that ends its turn included;
 * `turn` counts the assistant messages of the conversation from 0, so the last answer is the one of largest turn.
 * Pieces meet at special tokens or line breaks that are tokens of their own: encoded one by one they give the ids of
 * the whole text.
 */
export type Segment = { role: 'prompt'; text: string } | { role: 'answer'; text: string; turn: number };

/**
 * The conversation in FunctionGemma's format. The text starts with `<bos>`: encode it without adding another.
 * @throws TemplateError where the reference template raises
 */
export function render(
  messages: readonly TemplateMessage[],
  tools: readonly TemplateTool[] = [],
  options: RenderOptions = {},
): string {
  return renderSegments(messages, tools, options)
    .map((segment) => segment.text)
    .join('');
}

/** As `render`, in pieces that tell prompt from answer. */
export function renderSegments(
  messages: readonly TemplateMessage[],
  tools: readonly TemplateTool[] = [],
  { addGenerationPrompt = false, bosToken = '<bos>' }: RenderOptions = {},
): Segment[] {
  const first = messages[0];
  if (!first) throw new TemplateError('The conversation has no message; the template needs at least one.');
  const out = new SegmentList();
  out.prompt(bosToken);

  const firstIsSystem = first.role === 'system' || first.role === 'developer';
  if (tools.length > 0 || firstIsSystem) {
    out.prompt('<start_of_turn>developer\n');
    if (firstIsSystem) out.prompt(systemText(first.content));
    for (const tool of tools) {
      out.prompt(`<start_function_declaration>${formatDeclaration(tool)}<end_function_declaration>`);
    }
    out.prompt('<end_of_turn>\n');
  }

  let previous: 'content' | 'tool_call' | 'tool_response' | undefined;
  let turn = -1;
  for (const [index, message] of messages.entries()) {
    if (index === 0 && firstIsSystem) continue;
    if (message.role === 'tool') {
      const response = formatResponses(message);
      // The token that asks for the response is the last one the model writes itself.
      if (previous === 'tool_call' && response) {
        out.answer(START_RESPONSE, turn);
        out.prompt(response.slice(START_RESPONSE.length));
      } else out.prompt(response);
      previous = 'tool_response';
      continue;
    }

    const isAnswer = message.role === 'assistant';
    if (isAnswer) turn++;
    const write = (piece: string) => (isAnswer ? out.answer(piece, turn) : out.prompt(piece));
    if (previous !== 'tool_response') out.prompt(`<start_of_turn>${isAnswer ? 'model' : message.role}\n`);
    previous = undefined;
    if (message.content !== undefined && message.content !== null) {
      write(contentText(message.content));
      previous = 'content';
    }
    if (message.tool_calls && message.tool_calls.length > 0) {
      write(message.tool_calls.map(formatCall).join(''));
      if (index === messages.length - 1) write(START_RESPONSE);
      previous = 'tool_call';
    }
    if (previous !== 'tool_call') {
      write('<end_of_turn>');
      out.prompt('\n');
    }
  }
  if (addGenerationPrompt && previous !== 'tool_response') out.prompt('<start_of_turn>model\n');
  return out.segments;
}

const START_RESPONSE = '<start_function_response>';

/** Joins pieces of the same kind. */
class SegmentList {
  readonly segments: Segment[] = [];

  prompt(piece: string): void {
    const last = this.segments.at(-1);
    if (last?.role === 'prompt') last.text += piece;
    else if (piece !== '') this.segments.push({ role: 'prompt', text: piece });
  }

  answer(piece: string, turn: number): void {
    const last = this.segments.at(-1);
    if (last?.role === 'answer' && last.turn === turn) last.text += piece;
    else if (piece !== '') this.segments.push({ role: 'answer', text: piece, turn });
  }
}

function systemText(content: Json | undefined): string {
  if (typeof content === 'string') return trim(content);
  // Neither text nor list (a number, null): the reference prints nothing.
  const parts = iterate(content) ?? [];
  return parts.map((part) => (item(part, 'type') === 'text' ? trim(item(part, 'text')) : '')).join('');
}

function contentText(content: Json): string {
  if (typeof content === 'string') return trim(content);
  const parts = iterate(content);
  if (!parts) throw new TemplateError(`Message content is ${text(content)}, expected a text or a list of parts.`);
  return parts
    .map((part) => {
      const type = item(part, 'type');
      if (type === 'image') return '<start_of_image>';
      return type === 'text' ? trim(item(part, 'text')) : '';
    })
    .join('');
}

function formatCall(call: NonNullable<TemplateMessage['tool_calls']>[number]): string {
  const name: unknown = call.function?.name;
  if (typeof name !== 'string')
    throw new TemplateError(`A tool call's function.name is ${shown(name)}, expected a text.`);
  return `<start_function_call>call:${name}${formatCallArguments(call.function.arguments)}<end_function_call>`;
}

function formatCallArguments(given: JsonObject | string | undefined): string {
  if (isMapping(given)) return formatFields(given);
  // The reference pastes a JSON text after the indentation of its own source line.
  return typeof given === 'string' ? `{${' '.repeat(20)}${given}}` : '{}';
}

function formatResponses({ content, name }: TemplateMessage): string {
  if (content === undefined || !isTruthy(content)) return '';
  if (typeof content === 'string') {
    if (name === undefined)
      throw new TemplateError(
        'A tool message with text content has no name, expected the name of the function it answers for.',
      );
    return formatResponse(name, { value: content });
  }
  const responses = Array.isArray(content) ? content : [content];
  return responses
    .map((response) => {
      if (!isMapping(response)) {
        throw new TemplateError(
          `A tool message holds the response ${text(response)}, expected an object, a list of objects or a text.`,
        );
      }
      if (Object.hasOwn(response, 'name') && Object.hasOwn(response, 'response')) {
        const fields = response.response;
        if (!isMapping(fields))
          throw new TemplateError(`A tool response's "response" is ${text(fields)}, expected an object.`);
        return formatResponse(response.name, fields);
      }
      if (name === undefined) {
        throw new TemplateError(
          'A tool response names no function, expected {name, response} or a name on the message.',
        );
      }
      return formatResponse(name, response);
    })
    .join('');
}

function formatResponse(name: Json | undefined, fields: JsonObject): string {
  return `${START_RESPONSE}response:${trim(name)}${formatFields(fields)}<end_function_response>`;
}
