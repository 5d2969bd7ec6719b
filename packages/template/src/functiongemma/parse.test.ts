import type { FunctionCall, Json, JsonObject } from '@gemmatune/schema';
import { describe, expect, it } from 'vitest';
import { parseCalls } from './parse.js';
import { render } from './render.js';
import { formatTutorialCall } from './tool-row.js';

const wrap = (body: string) => `<start_function_call>${body}<end_function_call>`;
const parseArguments = (fields: string) => parseCalls(wrap(`call:f{${fields}}`));

describe('values', () => {
  it.each<[string, JsonObject]>([
    ['', {}],
    ['a:<escape>x<escape>', { a: 'x' }],
    ['a:<escape><escape>', { a: '' }],
    ['a:<escape>},{:[]"\\\n<end_function_call><escape>,b:2', { a: '},{:[]"\\\n<end_function_call>', b: 2 }],
    ['a:1,b:-2.5,c:1e+16,d:1e-07,e:20.0', { a: 1, b: -2.5, c: 1e16, d: 1e-7, e: 20 }],
    ['a:true,b:false,c:None,d:null,e:True', { a: true, b: false, c: null, d: null, e: true }],
    [
      'a:[],b:[1,<escape>x<escape>,[true]],c:{},d:{x:{y:[{z:1}]}}',
      { a: [], b: [1, 'x', [true]], c: {}, d: { x: { y: [{ z: 1 }] } } },
    ],
    ['<escape>k k<escape>:1', { 'k k': 1 }],
    ['a: 1 , b : <escape> x <escape> ', { a: 1, b: ' x ' }],
  ])('%j', (fields, expected) => {
    expect(parseArguments(fields)).toEqual({ calls: [{ name: 'f', arguments: expected }], content: '', errors: [] });
  });

  it('takes bare text as a string and says so', () => {
    const parsed = parseArguments('a:Paris,b:toString');
    expect(parsed.calls).toEqual([{ name: 'f', arguments: { a: 'Paris', b: 'toString' } }]);
    expect(parsed.errors).toEqual([
      { offset: 30, message: "Expected a value, found the bare text 'Paris'; taken as a string." },
      { offset: 38, message: "Expected a value, found the bare text 'toString'; taken as a string." },
    ]);
  });
});

describe('tutorial form', () => {
  it('reads the JSON text', () => {
    expect(parseArguments('args:<escape>{"a": [1, {"b": null}], "c": "}"}<escape>').calls).toEqual([
      { name: 'f', arguments: { a: [1, { b: null }], c: '}' } },
    ]);
  });
  it('leaves an argument called args alone where it is no object text or not alone', () => {
    expect(parseArguments('args:<escape>x<escape>').calls[0]!.arguments).toEqual({ args: 'x' });
    expect(parseArguments('args:<escape>{}<escape>,b:1').calls[0]!.arguments).toEqual({ args: '{}', b: 1 });
  });
  it('reports JSON that is broken', () => {
    const parsed = parseArguments('args:<escape>{"a": <escape>');
    expect(parsed.calls).toEqual([]);
    expect(parsed.errors[0]!.message).toBe(
      'The arguments are not JSON: the end where a value was expected (character 6).',
    );
  });
});

describe('whole texts', () => {
  it('reads parallel calls and the text around them, up to the end of the turn', () => {
    const text = ` Sure. ${wrap('call:a.b-c{x:1}')}${wrap('call:g{}')}<start_function_response>response:g{}${wrap('call:invented{}')}`;
    expect(parseCalls(text)).toEqual({
      calls: [
        { name: 'a.b-c', arguments: { x: 1 } },
        { name: 'g', arguments: {} },
      ],
      content: 'Sure.',
      errors: [],
    });
  });
  it('reads plain text', () => {
    expect(parseCalls('Hello {x}<end_of_turn>\n<eos>')).toEqual({ calls: [], content: 'Hello {x}', errors: [] });
    expect(parseCalls('')).toEqual({ calls: [], content: '', errors: [] });
  });
  it.each([
    ['<start_function_call>', 21, 'Expected "call:", found the end.'],
    ['<start_function_call>call:f', 26, 'Expected "{" after the function name, found "f".'],
    ['<start_function_call>call:{}<end_function_call>', 26, 'Expected a function name, found "{}<end_function_call>".'],
    ['<start_function_call>call:f{a:<escape>never closed', 38, 'Expected the closing <escape>, found "never closed".'],
    ['<start_function_call>call:f{a:1<end_function_call>', 31, 'Expected "}", found "<end_function_call>".'],
    ['<start_function_call>call:f{a}<end_function_call>', 29, 'Expected ":", found "}<end_function_call>".'],
    ['<start_function_call>call:f{a:[1}<end_function_call>', 32, 'Expected "]", found "}<end_function_call>".'],
    [
      '<start_function_call>call:f{a:,b:1}<end_function_call>',
      30,
      'Expected a value, found ",b:1}<end_function_call>".',
    ],
    ['<start_function_call>call:f{}', 29, 'Expected "<end_function_call>", found the end.'],
  ])('reports %j', (text, offset, message) => {
    expect(parseCalls(text)).toEqual({ calls: [], content: '', errors: [{ offset, message }] });
  });
  it('goes on after a garbled call', () => {
    const text = `<start_function_call>call:f{a:<start_function_call>call:g{b:2}<end_function_call>${wrap('oops')}${wrap('call:h{}')} end`;
    const parsed = parseCalls(text);
    expect(parsed.calls.map(({ name }) => name)).toEqual(['g', 'h']);
    expect(parsed.errors).toHaveLength(2);
    expect(parsed.content).toBe('end');
  });
  it('ends a garbled call at a stop token', () => {
    const parsed = parseCalls(`<start_function_call>call:f{a:1<end_of_turn>\n${wrap('call:invented{}')}`);
    expect(parsed.calls).toEqual([]);
    expect(parsed.errors).toHaveLength(1);
  });
});

describe('round trip of generated calls', () => {
  // A small generator of its own: the same cases on every run (Marsaglia's xorshift32).
  let state = 2463534242;
  const below = (n: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % n;
  };
  const pick = <T>(items: readonly T[]): T => items[below(items.length)]!;
  const STRINGS = [
    '',
    ' ',
    'x',
    '},{',
    'k:v',
    '[1,2]',
    'true',
    '1.5',
    '<end_function_call>',
    '<start_function_call>call:f{',
    'é😀漢',
    '"q\'\\',
    '\n\t',
    '<esc',
  ] as const;
  const KEYS = [
    'a',
    'B',
    'key',
    'snake_case',
    'x.y',
    'with space',
    'é',
    '1',
    '10',
    'a,b',
    'q"',
    '__proto__',
    'null',
  ] as const;
  const NUMBERS = [0, 1, -7, 0.1, -2.5e-7, 1e21, 123456789, 5e-324, 1.7976931348623157e308] as const;

  function value(depth: number): Json {
    const kind = below(depth > 3 ? 3 : 5);
    if (kind === 0) return pick(STRINGS) + pick(STRINGS);
    if (kind === 1) return pick(NUMBERS);
    if (kind === 2) return pick([true, false, null]);
    return kind === 3 ? Array.from({ length: below(4) }, () => value(depth + 1)) : object(depth + 1);
  }
  function object(depth: number): JsonObject {
    return Object.fromEntries(Array.from({ length: below(4) }, () => [pick(KEYS), value(depth)]));
  }

  it('gives every call back, native form', () => {
    for (let round = 0; round < 3000; round++) {
      const calls = Array.from(
        { length: 1 + below(3) },
        (): FunctionCall => ({ name: pick(['f', 'a.b', 'get_x']), arguments: object(0) }),
      );
      const text = render([{ role: 'assistant', tool_calls: calls.map((call) => ({ function: call })) }]);
      const parsed = parseCalls(text.slice(text.indexOf('<start_function_call>')));
      expect(parsed, text).toEqual({ calls, content: '', errors: [] });
    }
  });

  it('gives every call back, tutorial form', () => {
    for (let round = 0; round < 1000; round++) {
      const call: FunctionCall = { name: 'f', arguments: object(0) };
      const text = formatTutorialCall({ tool_name: call.name, tool_arguments: JSON.stringify(call.arguments) });
      expect(parseCalls(text), text).toEqual({ calls: [call], content: '', errors: [] });
    }
  });

  it('never throws on pieces put together at random', () => {
    const pieces = [
      '<start_function_call>',
      '<end_function_call>',
      'call:',
      'f',
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '<escape>',
      '1',
      'args',
      '{"a":1}',
      '<end_of_turn>',
      ' ',
      '__proto__',
    ];
    for (let round = 0; round < 5000; round++) {
      const text = `<start_function_call>call:f{${Array.from({ length: below(14) }, () => pick(pieces)).join('')}`;
      const { errors } = parseCalls(text);
      for (const { offset } of errors) expect(offset).toBeLessThanOrEqual(text.length);
    }
  });
});
