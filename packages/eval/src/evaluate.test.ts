import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ToolRow } from '@gemmatune/schema';
import { describe, expect, it } from 'vitest';
import { firstBlock, tutorialName } from './call-block.js';
import { compare } from './compare.js';
import { scored } from './evaluate.js';
import { METRICS } from './metrics/index.js';
import { judge } from './prediction.js';
import { questionOf } from './question.js';
import { score } from './score.js';

const tool = (name: string, parameters: object) => ({
  type: 'function' as const,
  function: { name, description: `${name}.`, parameters: parameters as never },
});
const row: ToolRow = {
  user_content: 'Wake me at 7 in Oslo',
  tool_name: 'set_alarm',
  tool_arguments: '{"hour": 7, "city": "Oslo"}',
  hf_tools: [
    tool('set_alarm', {
      type: 'OBJECT',
      properties: { hour: { type: 'integer' }, city: { type: 'string' }, snooze: { type: 'boolean' } },
      required: ['hour'],
    }),
    tool('play', { type: 'object', properties: {} }),
  ],
};
const call = (text: string) => `<start_function_call>call:${text}<end_function_call>`;
const metrics = (text: string, format: 'native' | 'tutorial' = 'native', r = row) =>
  scored([questionOf(r, format)], [text]).metrics;

describe('native format', () => {
  it('scores the gold call as perfect, whatever the order of arguments', () => {
    const m = metrics(call('set_alarm{city:<escape>Oslo<escape>,hour:7}'));
    expect(m).toMatchObject({
      tool_accuracy: 1,
      exact_match: 1,
      parse_rate: 1,
      argument_precision: 1,
      argument_recall: 1,
      missing_argument_rate: 0,
    });
    expect(m).toMatchObject({ invented_argument_rate: 0, unknown_tool_rate: 0, schema_validity: 1, tc_cer: 0 });
    expect(metrics(call('set_alarm{hour:7,city:<escape>Oslo<escape>}')).exact_match).toBe(1);
  });

  it('tells a wrong value, a missing and an invented argument apart', () => {
    const m = metrics(call('set_alarm{hour:8,snooze:true}'));
    expect(m).toMatchObject({
      tool_accuracy: 1,
      exact_match: 0,
      argument_precision: 0,
      argument_recall: 0,
      missing_argument_rate: 0.5,
      invented_argument_rate: 0.5,
    });
    // Invented, but declared and well typed.
    expect(m.schema_validity).toBe(1);
    expect(metrics(call('set_alarm{hour:<escape>seven<escape>}')).schema_validity).toBe(0);
    expect(metrics(call('set_alarm{city:<escape>Oslo<escape>}'))).toMatchObject({
      schema_validity: 0,
      argument_precision: 1,
      argument_recall: 0.5,
    });
  });

  it('a call of another tool has no right argument; an unknown tool is counted', () => {
    expect(metrics(call('play{hour:7}'))).toMatchObject({
      tool_accuracy: 0,
      argument_precision: 0,
      argument_recall: 0,
      unknown_tool_rate: 0,
    });
    expect(metrics(call('wake{hour:7}'))).toMatchObject({ unknown_tool_rate: 1, schema_validity: null });
  });

  it('no call, a second call, or an unreadable one is not exact', () => {
    const nothing = metrics('I cannot do that.');
    expect(nothing).toMatchObject({
      tool_accuracy: 0,
      tc_cer: 1,
      parse_rate: 0,
      argument_precision: null,
      unknown_tool_rate: null,
    });
    const gold = call('set_alarm{city:<escape>Oslo<escape>,hour:7}');
    expect(metrics(gold + gold)).toMatchObject({ exact_match: 0, tool_accuracy: 1, tc_cer: 0 });
    expect(metrics('<start_function_call>call:set_alarm{hour:7')).toMatchObject({
      parse_rate: 0,
      exact_match: 0,
      tc_cer: 1,
    });
  });

  it('pools over predictions: characters for TC-CER, arguments for precision', () => {
    const right = judge(questionOf(row, 'native'), call('set_alarm{city:<escape>Oslo<escape>,hour:7}'));
    const none = judge(questionOf(row, 'native'), '');
    const { metrics: pooled, counts } = score([right, none]);
    expect(counts.argument_recall).toEqual({ value: 2, weight: 4 });
    expect(pooled).toMatchObject({
      tool_accuracy: 0.5,
      tc_cer: 0.5,
      argument_precision: 1,
      argument_recall: 0.5,
    });
  });
});

describe('tutorial format', () => {
  const gold = call('set_alarm{args:<escape>{"hour": 7, "city": "Oslo"}<escape>}');

  it('compares with the tutorial target and reads names by its regular expression', () => {
    expect(questionOf(row, 'tutorial').goldBlock).toBe(gold);
    expect(metrics(gold, 'tutorial')).toMatchObject({ tool_accuracy: 1, tc_cer: 0, exact_match: 1 });
    const native = metrics(call('set_alarm{city:<escape>Oslo<escape>,hour:7}'), 'tutorial');
    expect(native.tool_accuracy).toBe(1);
    expect(native.tc_cer).toBeGreaterThan(0.2);
  });

  it('a name with a dot never scores, as in the tutorial', () => {
    const dotted = { ...row, tool_name: 'clock.set', hf_tools: [tool('clock.set', {})] };
    const text = call('clock.set{args:<escape>{"hour": 7, "city": "Oslo"}<escape>}');
    expect(tutorialName(text)).toBeNull();
    expect(metrics(text, 'tutorial', dotted).tool_accuracy).toBe(0);
    expect(metrics(call('clock.set{city:<escape>Oslo<escape>,hour:7}'), 'native', dotted).tool_accuracy).toBe(1);
  });

  it('a block may span lines; text around it does not count', () => {
    const broken = gold.replace(', ', ',\n');
    expect(firstBlock(`Sure!\n${broken} done`)).toBe(broken);
    expect(firstBlock('<start_function_call>call:x{}')).toBe('');
  });
});

it('the prompt ends where the model must go on, and holds no answer', () => {
  const prompt = questionOf(row, 'native').prompt;
  expect(
    prompt.startsWith(
      '<bos><start_of_turn>developer\nYou are a model that can do function calling with the following functions',
    ),
  ).toBe(true);
  expect(prompt.endsWith('<start_of_turn>user\nWake me at 7 in Oslo<end_of_turn>\n<start_of_turn>model\n')).toBe(true);
});

it('compares metric by metric, knowing which way is better', () => {
  const evaluation = (text: string) => scored([questionOf(row, 'native')], [text]);
  const rows = compare(evaluation('nothing'), evaluation(call('set_alarm{city:<escape>Oslo<escape>,hour:7}')));
  const by = Object.fromEntries(rows.map((r) => [r.name, r.change]));
  expect(by).toMatchObject({
    tool_accuracy: 'better',
    tc_cer: 'better',
    unknown_tool_rate: 'same',
    schema_validity: 'same',
  });
  expect(rows.map((r) => r.name)).toEqual(METRICS.map((m) => m.name));
});

it('calls no metric better or worse that is a ratio of other cases', () => {
  const invented = scored([questionOf(row, 'native')], [call('set_alarm{hour:7,a:1,b:2}')]);
  const fewer = scored([questionOf(row, 'native')], [call('set_alarm{hour:8}')]);
  const by = Object.fromEntries(compare(fewer, invented).map((r) => [r.name, r.change]));
  expect(by).toMatchObject({ argument_precision: 'other cases', argument_recall: 'better', exact_match: 'same' });
  const unknown = compare({ metrics: { tool_accuracy: 0 } }, { metrics: { tool_accuracy: 1 } });
  expect(unknown[0]).toMatchObject({ name: 'tool_accuracy', change: 'better' });
});

const shared = fileURLToPath(new URL('../../../../shared/data/hermes_style/expected_rows.jsonl', import.meta.url));
it.skipIf(!existsSync(shared))(
  'every gold call of hermes_style scores as perfect when generated, in both formats',
  () => {
    const rows = readFileSync(shared, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as ToolRow);
    for (const format of ['native', 'tutorial'] as const) {
      const predictions = rows.map((r) => questionOf(r, format)).map((question) => judge(question, question.goldBlock));
      const { metrics: result } = score(predictions);
      expect(result).toMatchObject({ tc_cer: 0, unknown_tool_rate: 0 });
      if (format === 'native')
        expect(result).toMatchObject({
          tool_accuracy: 1,
          exact_match: 1,
          parse_rate: 1,
          argument_precision: 1,
          argument_recall: 1,
        });
      // The tutorial's regular expression cannot read names with a dot: 21 of the 587 rows.
      else expect(result.tool_accuracy).toBeCloseTo(566 / 587, 10);
    }
  },
);
