import { describe, expect, it } from 'vitest';
import { NumberText, numberText, parseExactJson, pythonFloatText, toJson } from './value.js';

describe('pythonFloatText', () => {
  it.each([
    [20, '20.0'],
    [0, '0.0'],
    [-0, '-0.0'],
    [0.5, '0.5'],
    [0.0001, '0.0001'],
    [0.00001, '1e-05'],
    [1.5e-7, '1.5e-07'],
    [1e15, '1000000000000000.0'],
    [1e16, '1e+16'],
    [1.2345e22, '1.2345e+22'],
    [1e100, '1e+100'],
    [5e-324, '5e-324'],
    [Number.NaN, 'nan'],
    [Infinity, 'inf'],
    [-Infinity, '-inf'],
  ])('%d is %s', (value, text) => {
    expect(pythonFloatText(value)).toBe(text);
  });
});

describe('numberText', () => {
  it.each([
    [20, '20'],
    [-0, '0'],
    [1e21, '1000000000000000000000'],
    [1e-7, '1e-07'],
    [Infinity, 'inf'],
  ])('%d is %s', (value, text) => {
    expect(numberText(value)).toBe(text);
  });
});

describe('parseExactJson', () => {
  it.each([
    ['20', 20],
    ['-0', 0],
    ['0.5', 0.5],
    ['1e-7', 1e-7],
    ['20.0', new NumberText('20.0')],
    ['2e1', new NumberText('20.0')],
    ['-0.0', new NumberText('-0.0')],
    ['1e16', new NumberText('1e+16')],
    ['9007199254740991', 9007199254740991],
    ['9007199254740993', new NumberText('9007199254740993')],
    ['-12345678901234567890', new NumberText('-12345678901234567890')],
    ['1e400', Infinity],
    ['[NaN, -Infinity, Infinity]', [Number.NaN, -Infinity, Infinity]],
    [' { "b" : [ ] , "a" : { } } ', { b: [], a: {} }],
    ['[true,false,null]', [true, false, null]],
    ['"\\u00e9\\n\\"\\\\ \u2028"', 'é\n"\\ \u2028'],
    ['{"a":1,"b":2,"a":3}', { a: 3, b: 2 }],
  ])('%s', (text, value) => {
    expect(parseExactJson(text)).toEqual(value);
  });

  it('keeps a key called __proto__', () => {
    expect(Object.entries(parseExactJson('{"__proto__":{"x":1}}') as object)).toEqual([['__proto__', { x: 1 }]]);
  });

  it.each([
    ['', 'JSON offset 0: expected a JSON value, found the end.'],
    ['{"a" 1}', 'JSON offset 5: expected ":", found "1}".'],
    ['{"a":1', 'JSON offset 6: expected "," or "}", found the end.'],
    ['{a:1}', 'JSON offset 1: expected a string, found "a:1}".'],
    ['[1,]', 'JSON offset 3: expected a JSON value, found "]".'],
    ['[01]', 'JSON offset 2: expected "," or "]", found "1]".'],
    ['"\t"', 'JSON offset 0: expected a string without raw control characters'],
    ['"open', 'JSON offset 0: expected a string, found'],
    ["{'a': 1}", 'JSON offset 1: expected a string'],
    ['1 2', 'JSON offset 2: expected the end, found "2".'],
  ])('refuses %j', (text, message) => {
    expect(() => parseExactJson(text)).toThrow(SyntaxError);
    expect(() => parseExactJson(text)).toThrow(message);
  });
});

it('toJson turns number texts into numbers', () => {
  expect(toJson(parseExactJson('{"a":[20.0,{"b":1e16}],"c":"x"}'))).toEqual({ a: [20, { b: 1e16 }], c: 'x' });
});
