import { type ExactJson, type ExactObject, PYTHON_SPACE, strip } from '@gemmatune/schema';
import { parseOr } from './tools.js';

// The first block only: a draft inside <think> wins over the real call, and an unclosed draft swallows it.
const TOOL_CALL = new RegExp(`<tool_call>${PYTHON_SPACE}*(\\{[\\s\\S]*?\\})${PYTHON_SPACE}*</tool_call>`);

/** The call in the first <tool_call> block of a turn, if it is an object with a name and arguments. */
export function firstToolCall(text: string): ExactObject | null {
  const block = TOOL_CALL.exec(text)?.[1];
  const call = block === undefined ? null : parseOr(block, null);
  return call instanceof Map && call.has('name') && call.has('arguments') ? call : null;
}

const USER_ROLES = ['human', 'user'];
const MODEL_ROLES = ['gpt', 'assistant', 'model'];

/**
 * The call the model should make for `task`: the first one after the user turn that contains the task or lies within it (an empty
 * turn lies within any task), else after the last user turn, and before the next user turn.
 */
export function goldCall(conversations: ExactJson | undefined, task: ExactJson | undefined): ExactObject | null {
  if (!Array.isArray(conversations)) return null;
  const turns = conversations.filter((turn) => turn instanceof Map);
  const wanted = strip(typeof task === 'string' ? task : '');
  const users = turns.flatMap((turn, i) => (USER_ROLES.includes(roleOf(turn)) ? [i] : []));
  const matching = users.find((i) => {
    const said = strip(textOf(turns[i]!));
    return wanted !== '' && (said.includes(wanted) || wanted.includes(said));
  });
  const start = matching ?? users.at(-1);
  if (start === undefined) return null;
  const end = users.find((i) => i > start) ?? turns.length;
  for (const turn of turns.slice(start + 1, end)) {
    const call = MODEL_ROLES.includes(roleOf(turn)) ? firstToolCall(textOf(turn)) : null;
    if (call !== null) return call;
  }
  return null;
}

function roleOf(turn: ExactObject): string {
  const role = turn.get('from');
  return typeof role === 'string' ? strip(role).toLowerCase() : '';
}

function textOf(turn: ExactObject): string {
  const value = turn.get('value');
  return typeof value === 'string' ? value : '';
}
