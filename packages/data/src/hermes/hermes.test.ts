import { readFileSync } from 'node:fs';
import { exactJson, parseExactJson, printExactJson } from '@gemmatune/schema';
import { describe, expect, it } from 'vitest';
import { readRows } from '../formats/index.js';
import { present, shared, sharedLines } from '../shared-data.case.js';
import { firstToolCall, goldCall } from './gold.js';
import { hermesRow } from './row.js';
import { hermesTools } from './tools.js';
import { hermesType } from './types.js';

const UNIT = 'hermes_style/unit_cases.json';
describe.skipIf(!present(UNIT))(`shared data ${UNIT}`, () => {
  const cases: Record<string, Record<string, string>[]> = present(UNIT)
    ? JSON.parse(readFileSync(shared(UNIT), 'utf8'))
    : {};

  it.each(cases.parse_hermes_type ?? [])('type $in_json', ({ in_json, out }) => {
    expect(hermesType(parseExactJson(in_json!))).toEqual(exactJson(out));
  });

  it.each(cases.hermes_tools_to_hf_schema ?? [])('tools $in_json', ({ in_json, out_text }) => {
    expect(printExactJson(hermesTools(parseExactJson(in_json!)))).toBe(out_text);
  });

  it.each(cases.extract_first_tool_call_obj ?? [])('call in $in_text', ({ in_text, out_text }) => {
    const call = firstToolCall(in_text!);
    expect(call === null ? null : printExactJson(call)).toBe(out_text);
  });
});

describe.each([
  ['hermes_style', 'train.jsonl'],
  ['hermes_style', 'train.parquet'],
  ['hermes_real', 'rows.jsonl'],
  ['hermes_real', 'rows.parquet'],
])('shared data %s/%s', (folder, file) => {
  it.skipIf(!present(`${folder}/${file}`))('gives every expected row, and why each other one is dropped', async () => {
    const all = sharedLines(`${folder}/expected_all.jsonl`);
    const usable = sharedLines(`${folder}/expected_rows.jsonl`);
    const made: string[] = [];
    let index = 0;
    for await (const { value } of readRows(shared(`${folder}/${file}`))) {
      const { why, gold, tools, row } = hermesRow(value);
      const judged = new Map(Object.entries({ index: exactJson(index), usable: why === 'usable', why }));
      judged.set('gold_json', gold === null ? null : printExactJson(gold));
      if (why !== 'usable') judged.set('hf_tools', tools);
      else made.push(printExactJson(new Map([['index', exactJson(index)], ...row!])));
      expect(printExactJson(judged)).toBe(all[index]);
      index++;
    }
    expect(index).toBe(all.length);
    expect(made).toEqual(usable);
  });
});

describe('goldCall', () => {
  const call = (name: string) => `<tool_call>{"name": "${name}", "arguments": {}}</tool_call>`;
  const conversation = (...turns: [string, string | null][]) =>
    exactJson(turns.map(([from, value]) => ({ from, value })));
  const nameOf = (...given: Parameters<typeof goldCall>) => goldCall(...given)?.get('name') ?? null;

  it('takes the call after the turn the task is about', () => {
    const turns = conversation(
      ['human', 'first'],
      ['gpt', call('a')],
      ['human', 'second'],
      ['gpt', 'hm'],
      ['gpt', call('b')],
    );
    expect(nameOf(turns, 'first')).toBe('a');
    expect(nameOf(turns, 'the second one')).toBe('b');
    expect(nameOf(turns, 'something else')).toBe('b');
    expect(nameOf(turns, null)).toBe('b');
  });

  it('stops at the next user turn', () => {
    const turns = conversation(['human', 'first'], ['gpt', 'no call'], ['human', 'second'], ['gpt', call('b')]);
    expect(nameOf(turns, 'first')).toBe(null);
  });

  it('lets an empty turn match any task', () => {
    const turns = conversation(['human', ''], ['gpt', call('a')], ['human', 'second'], ['gpt', call('b')]);
    expect(nameOf(turns, 'second')).toBe('a');
  });

  it('takes what is not a conversation', () => {
    for (const odd of [undefined, null, 'text', [], [null, 5], [{}], [{ from: 5, value: 5 }]]) {
      expect(goldCall(odd === undefined ? odd : exactJson(odd), 'task')).toBe(null);
    }
  });
});

describe('hermesRow', () => {
  it('calls a tool without required parameters with {}', () => {
    const source = parseExactJson(
      JSON.stringify({
        conversations: [
          { from: 'human', value: 'q' },
          { from: 'gpt', value: '<tool_call>{"name": "f", "arguments": {"20": 5.0}}</tool_call>' },
        ],
        task: 'q',
        tools: '[{"name": "f", "parameters": {"type": "dict", "properties": {"x": {"type": "str"}}}}]',
      }),
    );
    expect(hermesRow(source as Map<string, never>).row?.get('tool_arguments')).toBe('{}');
  });
});
