import type { ExactJson, ExactObject } from '@gemmatune/schema';
import { DEVELOPER_LINE } from '@gemmatune/template';
import type { Normalised } from './layout.js';

/** A row {messages, tools}, where there is something to learn and every call goes to a tool on offer. */
export function conversation(messages: ExactObject[], tools: ExactObject[]): Normalised {
  if (!messages.some((message) => message.get('role') === 'assistant')) return { why: 'no_gold' };
  const called = messages.flatMap((message) => ((message.get('tool_calls') ?? []) as ExactObject[]).map(nameOf));
  if (called.length > 0 && tools.length === 0) return { why: 'no_tools' };
  const known = new Set(tools.map(nameOf));
  const unknown = called.find((name) => !known.has(name));
  if (unknown !== undefined) return { why: 'gold_not_in_tools', detail: `the tool ${String(unknown)} is not declared` };
  return {
    row: new Map<string, ExactJson>([
      ['messages', messages],
      ['tools', tools],
    ]),
  };
}

/** A message of the chat layout. */
export function message(role: string, content: ExactJson, more: [string, ExactJson][] = []): ExactObject {
  return new Map<string, ExactJson>([['role', role], ['content', content], ...more]);
}

/** FunctionGemma's developer message, for rows that bring none. */
export function developer(): ExactObject {
  return message('developer', DEVELOPER_LINE);
}

/** An assistant message that calls functions. Each call is {name, arguments}. */
export function callMessage(calls: ExactObject[]): ExactObject {
  const tool_calls = calls.map(
    (call) =>
      new Map<string, ExactJson>([
        ['type', 'function'],
        ['function', call],
      ]),
  );
  return new Map<string, ExactJson>([
    ['role', 'assistant'],
    ['tool_calls', tool_calls],
  ]);
}

function nameOf(wrapper: ExactObject): ExactJson | undefined {
  return (wrapper.get('function') as ExactObject).get('name');
}
