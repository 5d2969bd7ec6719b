import type { ExactJson, ExactObject } from '@gemmatune/schema';
import { hermesTools, parseOr } from '../hermes/tools.js';
import { callMessage, conversation, developer, message } from './conversation.js';
import type { Layout } from './layout.js';

/** Salesforce/xlam-function-calling-60k: {query, answers, tools}, the last two JSON text → one user turn and all calls at once. */
export const xlam: Layout = {
  name: 'xlam',
  detect: (row) => row.has('query') && row.has('answers'),
  normalise(source) {
    const query = source.get('query');
    if (typeof query !== 'string') return { why: 'unreadable', detail: 'query is not text' };
    const answers = source.get('answers');
    const calls = typeof answers === 'string' ? parseOr(answers, null) : answers;
    if (!Array.isArray(calls) || calls.length === 0 || !calls.every(isCall)) return { why: 'no_gold' };
    return conversation([developer(), message('user', query), callMessage(calls)], hermesTools(source.get('tools')));
  },
};

/** Whether a value is {name: text, arguments: object}. */
export function isCall(value: ExactJson): value is ExactObject {
  return value instanceof Map && typeof value.get('name') === 'string' && value.get('arguments') instanceof Map;
}
