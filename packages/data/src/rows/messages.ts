import { InputError } from '@gemmatune/base';
import { type ExactJson, type ExactObject, parseExample, plainJson } from '@gemmatune/schema';
import { parseOr } from '../hermes/tools.js';
import { conversation } from './conversation.js';
import type { Layout } from './layout.js';

/**
 * google/mobile-actions and other chat rows: {messages, tools} → {messages, tools} with declarations wrapped in {type, function} and
 * call arguments as objects.
 */
export const messages: Layout = {
  name: 'messages',
  detect: (row) => row.has('messages'),
  normalise(source) {
    const tools = list(source.get('tools')).map(wrapped);
    const turns = list(source.get('messages')).map(withParsedCalls);
    try {
      parseExample(
        plainJson(
          new Map<string, ExactJson>([
            ['messages', turns],
            ['tools', tools],
          ]),
        ),
        'row',
      );
    } catch (error) {
      if (error instanceof InputError) return { why: 'unreadable', detail: error.message };
      throw error;
    }
    return conversation(turns as ExactObject[], tools as ExactObject[]);
  },
};

function list(column: ExactJson | undefined): ExactJson[] {
  const value = typeof column === 'string' ? parseOr(column, null) : column;
  return Array.isArray(value) ? value : [];
}

function wrapped(tool: ExactJson): ExactJson {
  if (!(tool instanceof Map)) return tool;
  return new Map<string, ExactJson>([
    ['type', 'function'],
    ['function', tool.get('function') ?? tool],
  ]);
}

function withParsedCalls(turn: ExactJson): ExactJson {
  if (!(turn instanceof Map) || !Array.isArray(turn.get('tool_calls'))) return turn;
  const calls = (turn.get('tool_calls') as ExactJson[]).map((call) => {
    const made = call instanceof Map ? (call.get('function') ?? call) : call;
    const given = made instanceof Map ? made.get('arguments') : undefined;
    if (typeof given !== 'string') return call;
    const parsed = new Map(made as ExactObject).set('arguments', parseOr(given, given));
    return new Map(call as ExactObject).set('function', parsed);
  });
  return new Map(turn).set('tool_calls', calls);
}
