import { describe, expect, it } from 'vitest';
import { parseJson, plainJson, toJson } from './conversions.js';
import { JsonNumber, parseExactJson } from './exact-json.js';

describe('toJson, parseJson', () => {
  it.each([
    ['20', 20],
    ['-0', 0],
    ['0.5', 0.5],
    ['1e-7', 1e-7],
    ['20.0', new JsonNumber('20.0')],
    ['2e1', new JsonNumber('20.0')],
    ['-0.0', new JsonNumber('-0.0')],
    ['1e16', new JsonNumber('1e+16')],
    ['9007199254740991', 9007199254740991],
    ['9007199254740993', new JsonNumber('9007199254740993')],
    ['-12345678901234567890', new JsonNumber('-12345678901234567890')],
    ['1e400', Infinity],
    ['[NaN, -Infinity, Infinity]', [Number.NaN, -Infinity, Infinity]],
    [' { "b" : [ ] , "a" : { } } ', { b: [], a: {} }],
    ['[true,false,null]', [true, false, null]],
    ['"\\u00e9\\n\\"\\\\ \u2028"', 'é\n"\\ \u2028'],
    ['{"a":1,"b":2,"a":3}', { a: 3, b: 2 }],
  ])('%s', (text, value) => {
    expect(parseJson(text)).toEqual(value);
    expect(toJson(parseExactJson(text))).toEqual(value);
  });

  it('keep a key called __proto__', () => {
    expect(Object.entries(parseJson('{"__proto__":{"x":1}}') as object)).toEqual([['__proto__', { x: 1 }]]);
  });

  it('refuse what is no JSON', () => {
    expect(() => parseJson('')).toThrow(SyntaxError);
  });
});

it('plainJson turns exact numbers into doubles, in maps as in objects', () => {
  const text = '{"a":[20.0,{"b":1e16}],"c":"x"}';
  const plain = { a: [20, { b: 1e16 }], c: 'x' };
  expect(plainJson(parseExactJson(text))).toEqual(plain);
  expect(plainJson(parseJson(text))).toEqual(plain);
});
