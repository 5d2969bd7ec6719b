import { shown } from '@gemmatune/base';
import type { ExactJson, ExactObject } from '@gemmatune/schema';
import { hermesTools, parseOr } from '../hermes/tools.js';
import { callMessage, conversation, developer, message } from './conversation.js';
import type { Layout, Normalised } from './layout.js';
import { isCall } from './xlam.js';

/**
 * LLaMA-Factory's layout of glaive-function-calling-v2: {conversations, tools}, turns from human, gpt, function_call and observation
 * → {messages, tools}.
 */
export const sharegpt: Layout = {
  name: 'sharegpt',
  detect: (row) => row.has('conversations') && !row.has('task'),
  normalise(source) {
    const turns = source.get('conversations');
    if (!Array.isArray(turns)) return { why: 'unreadable', detail: 'conversations is not a list' };
    const messages: ExactObject[] = [];
    let called = '';
    for (const turn of turns) {
      const role = turn instanceof Map ? turn.get('from') : undefined;
      const value = turn instanceof Map ? turn.get('value') : undefined;
      if (typeof value !== 'string') return unreadable('a turn has no text');
      if (role === 'human') messages.push(message('user', value));
      else if (role === 'gpt') messages.push(message('assistant', value));
      else if (role === 'system') messages.push(message('developer', value));
      else if (role === 'function_call') {
        const call = parseOr(value, null);
        if (!isCall(call)) return unreadable('a function_call turn is not {"name": .., "arguments": {..}}');
        called = call.get('name') as string;
        messages.push(callMessage([call]));
      } else if (role === 'observation') messages.push(message('tool', answer(value), [['name', called]]));
      else return unreadable(`a turn is from ${shown(role)}`);
    }
    const tools = hermesTools(source.get('tools'));
    if (tools.length > 0 && messages[0]?.get('role') !== 'developer') messages.unshift(developer());
    return conversation(messages, tools);
  },
};

/** What a tool answered: an object stays one, anything else is text. */
function answer(text: string): ExactJson {
  const value = parseOr(text, null);
  return value instanceof Map ? value : text;
}

function unreadable(detail: string): Normalised {
  return { why: 'unreadable', detail };
}
