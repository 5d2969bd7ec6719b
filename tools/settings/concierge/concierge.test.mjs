import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { afterAll, describe, expect, it } from 'vitest';
import { FUNCTIONS } from './functions.mjs';
import { evaluationRows, make, trainingRows } from './make.mjs';

const training = trainingRows();
const evaluation = await evaluationRows();
const folder = await mkdtemp(join(tmpdir(), 'gemmatune-concierge-'));
afterAll(() => rm(folder, { recursive: true }));

const schemas = new Map(FUNCTIONS.map(({ function: { name, parameters } }) => [name, parameters]));
const requests = (rows) => rows.map((row) => row.user_content);
const argumentsOf = (row) => JSON.parse(row.tool_arguments);

/** [key, text] of each string that is copied from the request: no enum, time or date, which are said in many ways. */
const copied = (row) =>
  Object.entries(argumentsOf(row))
    .filter(([key]) => !['time', 'date'].includes(key) && !schemas.get(row.tool_name)?.properties[key].enum)
    .flatMap(([key, value]) => [value].flat().map((text) => [key, text]))
    .filter(([, text]) => typeof text === 'string');

/** Requests this close are the same but for a word. */
const NEAR = 0.2;

/** Levenshtein distance as a share of the longer text, letter case and punctuation aside. */
function distance(a, b) {
  const [s, t] = [a, b].map((text) => text.toLowerCase().replace(/[^\p{L}\p{N} ]/gu, ''));
  const longer = Math.max(s.length, t.length);
  // No less than the difference of lengths: most pairs are apart by that alone.
  const least = Math.abs(s.length - t.length) / longer;
  if (least > NEAR) return least;
  let above = Array.from({ length: t.length + 1 }, (_, j) => j);
  for (let i = 1; i <= s.length; i++) {
    const line = [i];
    for (let j = 1; j <= t.length; j++)
      line.push(Math.min(above[j] + 1, line[j - 1] + 1, above[j - 1] + (s[i - 1] === t[j - 1] ? 0 : 1)));
    above = line;
  }
  return above[t.length] / longer;
}

describe.each([
  ['training', training, 300, 25],
  ['evaluation', evaluation, 60, 5],
])('%s rows', (_, rows, count, perFunction) => {
  it('are as many different requests, as many for each function', () => {
    expect(new Set(requests(rows)).size).toBe(count);
    const counts = FUNCTIONS.map(({ function: { name } }) => rows.filter((row) => row.tool_name === name).length);
    expect(counts).toEqual(FUNCTIONS.map(() => perFunction));
  });

  it('hold nothing of the notation of phrasings', () => {
    for (const request of requests(rows)) expect(request).not.toMatch(/[[\]{}|]|undefined| {2}/);
  });

  it('offer all functions in one order', () => {
    for (const row of rows) expect(row.hf_tools).toEqual(FUNCTIONS);
  });

  it('call as the function declares, times and dates in its convention', () => {
    const ajv = new Ajv();
    const judges = new Map(
      [...schemas].map(([name, schema]) => [name, ajv.compile({ ...schema, additionalProperties: false })]),
    );
    for (const row of rows) {
      const given = argumentsOf(row);
      const judge = judges.get(row.tool_name);
      expect(judge?.(given), `${row.user_content}: ${row.tool_arguments} ${ajv.errorsText(judge?.errors)}`).toBe(true);
      if ('time' in given) expect(given.time).toMatch(/^([01]\d|2[0-3]):[0-5]\d$/);
      if ('date' in given) expect(given.date).toMatch(/^2026-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/);
    }
  });

  it('say every copied string literally, with no article in it', () => {
    for (const row of rows)
      for (const [key, text] of copied(row)) {
        expect(row.user_content, `${key} of ${row.tool_arguments}`).toContain(text);
        expect(text).not.toMatch(/^(a|an|the) /i);
      }
  });

  it('print arguments as Python does', () => {
    for (const row of rows) {
      const asPython = JSON.stringify(argumentsOf(row), null, 1)
        .replace(/\n\s*/g, ' ')
        .replace(/([{[]) | ([}\]])/g, '$1$2');
      expect(row.tool_arguments).toBe(asPython);
    }
  });
});

it('evaluation asks in no way that training has shown, for nothing that it has named', () => {
  for (const wanted of requests(evaluation))
    for (const seen of requests(training)) expect(distance(wanted, seen), `${wanted} ~ ${seen}`).toBeGreaterThan(NEAR);
  const named = new Set(training.flatMap(copied).map(([, text]) => text));
  expect(evaluation.flatMap(copied).filter(([, text]) => named.has(text))).toEqual([]);
});

it('the files are the same bytes each time', async () => {
  const files = ['train.jsonl', 'eval.jsonl'];
  const made = [];
  for (const run of ['first', 'second']) {
    await make(join(folder, run));
    made.push(await Promise.all(files.map((file) => readFile(join(folder, run, file), 'utf8'))));
  }
  expect(made[1]).toEqual(made[0]);
  expect(made[0].map((text) => text.trimEnd().split('\n').length)).toEqual([300, 60]);
});
