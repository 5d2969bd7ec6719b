import { parseExactJson, printExactJson } from '@gemmatune/schema';
import { describe, expect, it } from 'vitest';
import { present, sharedLines } from '../shared-data.case.js';
import { LAYOUTS, type LayoutName, normaliseRow } from './index.js';

type Row = { messages: { role: string; content?: unknown; tool_calls?: unknown[]; name?: string }[]; tools: unknown[] };

function normalised(line: string): Row {
  const made = normaliseRow(parseExactJson(line) as Map<string, never>);
  if (!('row' in made)) throw new Error(`dropped: ${made.why} ${made.detail ?? ''}`);
  return JSON.parse(printExactJson(made.row));
}

const layoutOf = (line: string): LayoutName | undefined =>
  Object.values(LAYOUTS).find((layout) => layout.detect(parseExactJson(line) as Map<string, never>))
    ?.name as LayoutName;

const drop = (row: object) => normaliseRow(parseExactJson(JSON.stringify(row)) as Map<string, never>);

describe.skipIf(!present('siblings'))('shared data siblings', () => {
  it('mobile_actions: wraps the declarations and keeps every message', () => {
    for (const line of sharedLines('siblings/mobile_actions.jsonl')) {
      expect(layoutOf(line)).toBe('messages');
      const source = JSON.parse(line);
      const { messages, tools } = normalised(line);
      expect(messages).toEqual(source.messages);
      expect(tools).toEqual(source.tools.map((tool: object) => ({ type: 'function', ...tool })));
    }
  });

  it('xlam: keeps both parallel calls', () => {
    const [line] = sharedLines('siblings/xlam_first_row.jsonl');
    expect(layoutOf(line!)).toBe('xlam');
    const { messages, tools } = normalised(line!);
    expect(messages.map(({ role }) => role)).toEqual(['developer', 'user', 'assistant']);
    expect(messages[1]!.content).toBe('Where can I find live giveaways for beta access and games?');
    expect(messages[2]!.tool_calls).toEqual([
      { type: 'function', function: { name: 'live_giveaways_by_type', arguments: { type: 'beta' } } },
      { type: 'function', function: { name: 'live_giveaways_by_type', arguments: { type: 'game' } } },
    ]);
    // An argument called "type" is an argument, not the schema's type.
    expect(tools).toMatchObject([{ function: { parameters: { type: 'object', required: ['type'] } } }]);
  });

  it('glaive: turns calls and observations into messages', () => {
    const lines = sharedLines('siblings/glaive_sharegpt.jsonl');
    expect(new Set(lines.map(layoutOf))).toEqual(new Set(['sharegpt']));
    const rows = lines.map(normalised);
    expect(rows).toHaveLength(35);
    const withCalls = rows.filter(({ messages }) => messages.some(({ tool_calls }) => tool_calls));
    expect(withCalls.length).toBeGreaterThan(0);
    for (const { messages } of withCalls) {
      expect(messages[0]!.role).toBe('developer');
      for (const [i, { role, name }] of messages.entries()) {
        if (role === 'tool') expect(messages[i - 1]!.tool_calls).toMatchObject([{ function: { name } }]);
      }
    }
  });
});

describe('normaliseRow', () => {
  const user = { role: 'user', content: 'q' };
  const calls = (name: string, args: unknown) => ({
    role: 'assistant',
    tool_calls: [{ function: { name, arguments: args } }],
  });
  const tools = [{ function: { name: 'f' } }];

  it('parses arguments given as text and keeps their numbers', () => {
    const made = drop({ messages: [user, calls('f', '{"x": 5.0, "20": 1, "13": 2}')], tools: JSON.stringify(tools) });
    expect('row' in made && printExactJson(made.row)).toContain('"arguments": {"x": 5.0, "20": 1, "13": 2}');
  });

  it('says why a row is dropped', () => {
    expect(drop({ messages: [user], tools })).toEqual({ why: 'no_gold' });
    expect(drop({ messages: [user, calls('f', {})] })).toEqual({ why: 'no_tools' });
    expect(drop({ messages: [user, calls('g', {})], tools })).toEqual({
      why: 'gold_not_in_tools',
      detail: 'the tool g is not declared',
    });
    expect(drop({ messages: [user, calls('f', '{x')], tools })).toEqual({
      why: 'unreadable',
      detail: "row: messages[1].tool_calls[0].function.arguments: found the text '{x', expected JSON.",
    });
    expect(drop({ messages: 5 })).toMatchObject({ why: 'unreadable' });
    expect(drop({ query: 'q', answers: '[]', tools: '[]' })).toEqual({ why: 'no_gold' });
    expect(drop({ conversations: [{ from: 'function_call', value: 'f(1)' }] })).toMatchObject({ why: 'unreadable' });
    expect(drop({ conversations: [{ from: 'human', value: 'q' }], tools: '[]' })).toEqual({ why: 'no_gold' });
  });
});
