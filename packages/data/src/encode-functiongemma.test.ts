import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ExactObject, parseExactJson, printExactJson } from '@gemmatune/schema';
import { Tokenizer } from '@gemmatune/tokenizer';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Encoded, type EncodeOptions, encodeRows } from './encode.js';
import { scratch } from './scratch.case.js';
import { present, shared, sharedLines } from './shared-data.case.js';
import { readTrainingRows } from './training-rows.js';

const TOKENIZER = 'functiongemma/tokenizer.json.gz';
const CASES = 'functiongemma/template_cases.json';
const ROWS = 'hermes_style/expected_rows.jsonl';

describe.skipIf(![TOKENIZER, CASES, ROWS].every(present))(`shared data ${TOKENIZER}, ${CASES}, ${ROWS}`, () => {
  const folder = scratch();
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = await Tokenizer.load(shared(TOKENIZER), { cacheFolder: folder });
  });
  const encode = (path: string, options: Omit<EncodeOptions, 'tokenizer'> = {}): Promise<Encoded> =>
    encodeRows(readTrainingRows(path), { tokenizer, ...options });
  const learnt = (labels: Int32Array) => tokenizer.decode(labels.filter((label) => label !== -100));

  it('gives the ids of transformers for whole conversations, numbers included', async () => {
    const file = parseExactJson(readFileSync(shared(CASES), 'utf8')) as ExactObject;
    const cases = (file.get('cases') as ExactObject[]).filter((c) => c.get('add_generation_prompt') === false);
    expect(cases.length).toBeGreaterThan(4);
    const path = join(folder, 'cases.jsonl');
    writeFileSync(path, cases.map((c) => printExactJson(c)).join('\n'));
    const { rows, lines } = await encode(path, { vocabSize: 262_144 });
    expect(lines).toEqual(cases.map((_, i) => i + 1));
    for (const [i, { inputIds }] of rows.entries()) {
      expect(`[${[...inputIds].join(', ')}]`, String(cases[i]!.get('name'))).toBe(
        printExactJson(cases[i]!.get('ids')!),
      );
    }
  });

  it('learns the last answer, or each answer, of a conversation', async () => {
    const { cases } = JSON.parse(readFileSync(shared(CASES), 'utf8'));
    const path = join(folder, 'sequence.jsonl');
    writeFileSync(
      path,
      JSON.stringify(cases.find((c: { name: string }) => c.name === 'official_weather_full_sequence')),
    );
    const last = (await encode(path)).rows[0]!;
    expect(learnt(last.labels)).toMatch(/^[^<]+<end_of_turn>$/);
    const all = (await encode(path, { loss: 'assistant' })).rows[0]!;
    expect(learnt(all.labels)).toMatch(
      /^<start_function_call>call:\w+\{.*\}<end_function_call><start_function_response>[^<]+<end_of_turn>$/s,
    );
    expect(learnt((await encode(path, { loss: 'full' })).rows[0]!.labels)).toMatch(/^<bos><start_of_turn>developer\n/);
  });

  it('learns exactly the call of every prepared row, in both formats', async () => {
    const gold = sharedLines(ROWS).map((line) => JSON.parse(line));
    const native = await encode(shared(ROWS));
    expect(native.report).toMatchObject({ rows: 587, kept: 587, tooLong: [], noTargets: [] });
    const tutorial = await encode(shared(ROWS), { format: 'tutorial' });
    for (const [i, { tool_name, tool_arguments }] of gold.entries()) {
      const call = learnt(native.rows[i]!.labels);
      expect(call.startsWith(`<start_function_call>call:${tool_name}{`)).toBe(true);
      expect(call.endsWith('}<end_function_call><start_function_response>')).toBe(true);
      expect([...native.rows[i]!.inputIds.subarray(0, 3)]).toEqual([2, 105, 55060]);
      // A raw U+2581 in a text would decode to a space; there is none in these rows.
      expect(learnt(tutorial.rows[i]!.labels)).toBe(
        `<start_function_call>call:${tool_name}{args:<escape>${tool_arguments}<escape>}<end_function_call><eos>`,
      );
    }
  });

  it("with compat trl gives the tutorial's text rows: two <bos>, <eos>, cut at 512 and kept", async () => {
    const { rows, report } = await encode(shared(ROWS), { compat: 'trl', format: 'tutorial', maxLength: 512 });
    expect(rows).toHaveLength(587);
    expect(report.truncated.length).toBeGreaterThan(0);
    expect(report.truncated).toEqual(report.tooLong);
    for (const { inputIds, labels } of rows) {
      expect([...inputIds.subarray(0, 3)]).toEqual([2, 2, 105]);
      expect(labels).toEqual(inputIds);
      expect(inputIds.at(-1) === 1 || inputIds.length === 512).toBe(true);
    }
    const ours = await encode(shared(ROWS), { format: 'tutorial', maxLength: 512 });
    // Without the second <bos> a row is one token shorter; answers the limit would cut are dropped, not learnt in part.
    expect(ours.report.noTargets).toEqual(ours.report.tooLong);
    expect(ours.report.kept + ours.report.noTargets.length).toBe(587);
    expect(Math.abs(ours.report.tooLong.length - report.tooLong.length)).toBeLessThan(10);
  });
});
