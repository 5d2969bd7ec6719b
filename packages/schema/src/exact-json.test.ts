import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { exactJson, plainJson } from './conversions.js';
import { type ExactJson, JsonNumber, parseExactJson, printExactJson } from './exact-json.js';

const UNIT = fileURLToPath(new URL('../../../../shared/data/hermes_style/unit_cases.json', import.meta.url));
describe.skipIf(!existsSync(UNIT))('shared data hermes_style/unit_cases.json', () => {
  const cases: { in_json: string; out_text: string }[] = existsSync(UNIT)
    ? JSON.parse(readFileSync(UNIT, 'utf8')).json_round_trip
    : [];
  it.each(cases)('json.dumps(json.loads($in_json))', ({ in_json, out_text }) => {
    expect(printExactJson(parseExactJson(in_json))).toBe(out_text);
  });
});

describe('JsonNumber.float', () => {
  it.each([
    [5, '5.0'],
    [-0, '-0.0'],
    [1e-7, '1e-07'],
    [Number.NaN, 'NaN'],
    [Number.NEGATIVE_INFINITY, '-Infinity'],
  ])('%d is %s', (x, text) => {
    expect(printExactJson(JsonNumber.float(x))).toBe(text);
    expect(JsonNumber.float(x).value).toBe(x);
  });
});

describe('printExactJson', () => {
  it('escapes what Python escapes, and leaves lone surrogates alone', () => {
    const text = '"\\\b\f\n\r\t\u0000\u001f\u007f\u2028é😀/';
    const printed = '"\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\u007f\u2028é😀/"';
    expect(printExactJson(text)).toBe(printed);
    expect(printExactJson(`${text}\ud800`)).toBe(`${printed.slice(0, -1)}\ud800"`);
  });

  it('prints as json.dumps(indent=2, sort_keys=True) does', () => {
    const value = parseExactJson(
      '{"step": 3, "loss": 1.0, "list": [{"b": 1.0, "a": "é \\"x\\"\\n"}], "none": null, "empty": {}, "nothing": [], "yes": true}',
    );
    expect(printExactJson(value, { indent: 2, sortKeys: true, ensureAscii: true })).toBe(`{
  "empty": {},
  "list": [
    {
      "a": "\\u00e9 \\"x\\"\\n",
      "b": 1.0
    }
  ],
  "loss": 1.0,
  "none": null,
  "nothing": [],
  "step": 3,
  "yes": true
}`);
  });
});

describe('parseExactJson', () => {
  it('keeps key order, and of repeated keys the first place with the last value', () => {
    expect(printExactJson(parseExactJson('{"20":1,"b":2,"13":3,"b":4,"__proto__":5}'))).toBe(
      '{"20": 1, "b": 4, "13": 3, "__proto__": 5}',
    );
  });

  it('reads documents without a number as those with one', () => {
    const text =
      '{"b": "\\u00e9\\ud800", "a": [{}, [], "", null, true], "b": {"__proto__": {"c": false}, "": "20"}, "x1": "1"}';
    const withNumber = parseExactJson(`[${text}, 1]`) as ExactJson[];
    expect(parseExactJson(text)).toEqual(withNumber[0]);
    expect(printExactJson(parseExactJson(text))).toBe(
      '{"b": {"__proto__": {"c": false}, "": "20"}, "a": [{}, [], "", null, true], "x1": "1"}',
    );
    expect(printExactJson(parseExactJson('{"b": "", "20": "", "13": ""}'))).toBe('{"b": "", "20": "", "13": ""}');
    expect(parseExactJson(`${'['.repeat(901)}${']'.repeat(901)}`)).toHaveLength(1);
    expect(() => parseExactJson(`${'['.repeat(902)}${']'.repeat(902)}`)).toThrow('nesting deeper than 900 levels');
  });

  it('prints what is not finite as JSON texts of Python do', () => {
    const text = '[NaN, Infinity, -Infinity]';
    expect(printExactJson(parseExactJson(text))).toBe(text);
    expect(printExactJson(parseExactJson('[1e400, -1e400]'))).toBe('[Infinity, -Infinity]');
  });

  it('prints compact as separators=(",", ":")', () => {
    expect(printExactJson(parseExactJson('{"a": [1, 2.50]}'), { compact: true })).toBe('{"a":[1,2.5]}');
  });

  it.each([
    ['', 'not JSON: the end where a value was expected (character 1)'],
    ['\ufeff[]', 'not JSON: "\ufeff" where a value was expected (character 1)'],
    ['\u00a0[]', 'where a value was expected (character 1)'],
    ['{"a":1', 'the end where "," or "}" was expected (character 7)'],
    ['{a:1}', '"a" where a key in double quotes was expected (character 2)'],
    ['"\t"', '"\\t" inside a string (character 2)'],
    ['1 2', '"2" after the end of the document (character 3)'],
    ["{'a': 1}", `"'" where a key in double quotes was expected (character 2)`],
    ['[1,]', '"]" where a value was expected (character 4)'],
    ['[1 2]', '"2" where "," or "]" was expected (character 4)'],
    ['{"a" 1}', '"1" where ":" was expected (character 6)'],
    ['[01]', '"1" where "," or "]" was expected (character 3)'],
    ['[.5]', '"." where a value was expected (character 2)'],
    ['[1.]', '"." where "," or "]" was expected (character 3)'],
    ['[+1]', '"+" where a value was expected (character 2)'],
    ['[-]', '"-" where a value was expected (character 2)'],
    ['["\n"]', '"\\n" inside a string (character 3)'],
    ['["a', 'the end inside a string (character 4)'],
    ['["\\x"]', 'the unknown escape \\x'],
    ['["\\u12g4"]', 'a \\u escape without four hexadecimal digits'],
    ['nul', '"n" where a value was expected'],
    ['1 // c', '"/" after the end of the document (character 3)'],
    ['['.repeat(100_000), 'nesting deeper than 900 levels'],
  ])('refuses %j', (text, message) => expect(() => parseExactJson(text)).toThrow(message));

  it('agrees with JSON.parse on ordinary JSON', () => {
    const value = {
      a: [1, 2.5, -3e-7, 1e21, true, false, null, ''],
      b: { c: '\u0000"\\/\ud83d\ude00\u2028' },
      d: [],
      e: {},
    };
    expect(plainJson(parseExactJson(JSON.stringify(value)))).toEqual(value);
    expect(plainJson(exactJson(value))).toEqual(value);
    expect(JSON.parse(printExactJson(exactJson(value)))).toEqual(value);
  });
});
