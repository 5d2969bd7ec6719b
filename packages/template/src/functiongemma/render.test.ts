import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { JsonNumber, parseJson } from '@gemmatune/schema';
import { describe, expect, it } from 'vitest';
import type { TemplateMessage, TemplateTool } from '../conversation.js';
import { TemplateError } from './declaration.js';
import { render, renderSegments } from './render.js';

const casesPath = resolve(import.meta.dirname, '../../../../../shared/data/functiongemma/template_cases.json');

interface Case {
  name: string;
  messages: TemplateMessage[];
  tools: TemplateTool[] | null;
  add_generation_prompt: boolean;
  text: string;
}

describe.skipIf(!existsSync(casesPath))('recorded renderings (shared/data/functiongemma/template_cases.json)', () => {
  // Read exactly: one case needs 20.0 and 1e16 as they are written.
  const cases = existsSync(casesPath)
    ? (parseJson(readFileSync(casesPath, 'utf8')) as unknown as { cases: Case[] }).cases
    : [];
  it.each(cases.map((one) => [one.name, one] as const))(
    '%s',
    (_name, { messages, tools, add_generation_prompt, text }) => {
      expect(render(messages, tools ?? [], { addGenerationPrompt: add_generation_prompt })).toBe(text);
    },
  );
});

const user = (content: string): TemplateMessage => ({ role: 'user', content });
const call = (name: string, args: Record<string, never> | object = {}) => ({
  type: 'function' as const,
  function: { name, arguments: args as Record<string, never> },
});
const tool = (parameters?: object): TemplateTool => ({
  type: 'function',
  function: { name: 'f', description: 'D', ...(parameters && { parameters: parameters as Record<string, never> }) },
});
const declared = (parameters?: object) => {
  const text = render([user('q')], [tool(parameters)]);
  return text.slice(text.indexOf('<start_function_declaration>') + 28, text.indexOf('<end_function_declaration>'));
};

describe('declarations', () => {
  it.each([
    ['no parameters', undefined, ''],
    ['empty parameters', {}, ''],
    ['only a type', { type: 'object', properties: {}, required: [] }, ',parameters:{type:<escape>OBJECT<escape>}'],
    [
      'no type: the brace stays open',
      { properties: { a: { type: 'string' } } },
      ',parameters:{properties:{a:{description:<escape><escape>,type:<escape>STRING<escape>}},',
    ],
    [
      'a list of types',
      { type: 'object', properties: { a: { type: ['string', 'null'] } } },
      ",parameters:{properties:{a:{description:<escape><escape>,type:<escape>['STRING', 'NULL']<escape>}},type:<escape>OBJECT<escape>}",
    ],
    [
      'names that are keywords are dropped',
      { type: 'object', properties: { type: { type: 'string' } }, required: ['type'] },
      ',parameters:{properties:{},required:[<escape>type<escape>],type:<escape>OBJECT<escape>}',
    ],
    [
      'an object without properties',
      { type: 'object', properties: { o: { type: 'object', additionalProperties: false } } },
      ',parameters:{properties:{o:{description:<escape><escape>,properties:{additionalProperties:{description:<escape><escape>,type:<escape><escape>}},type:<escape>OBJECT<escape>}},type:<escape>OBJECT<escape>}',
    ],
    [
      'items with escaped keys',
      { type: 'object', properties: { l: { type: 'array', items: { type: 'string', x: { k: 1 }, none: null } } } },
      ',parameters:{properties:{l:{description:<escape><escape>,items:{type:<escape>STRING<escape>,x:{<escape>k<escape>:1}},type:<escape>ARRAY<escape>}},type:<escape>OBJECT<escape>}',
    ],
  ])('%s', (_name, parameters, text) => {
    expect(declared(parameters)).toBe(`declaration:f{description:<escape>D<escape>${text}}`);
  });
});

describe('turns', () => {
  it('sorts keys without regard to case, by code point', () => {
    const keys = { b: 1, _c: 1, A: 1, a: 1, '\uffff': 1, '😀': 1, Zeta: 1, '10': 1, '9': 1 };
    const text = render([user('q'), { role: 'assistant', tool_calls: [call('f', keys)] }]);
    expect(text).toContain('call:f{10:1,9:1,_c:1,A:1,a:1,b:1,Zeta:1,\uffff:1,😀:1}');
  });

  it.each([
    [20, '20'],
    [-0, '0'],
    [1e21, '1000000000000000000000'],
    [1e-7, '1e-07'],
    [Number.NaN, 'nan'],
    [Infinity, 'inf'],
    [-Infinity, '-inf'],
    [new JsonNumber('2e1'), '20.0'],
    [new JsonNumber('9007199254740993'), '9007199254740993'],
    [new JsonNumber('-Infinity'), '-inf'],
  ])('prints the number %o as Python does', (number, text) => {
    expect(
      render([{ role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: { a: number } } }] }]),
    ).toContain(`call:f{a:${text}}`);
  });

  it('strips what Python strips', () => {
    expect(render([user(' \x1c\x85\u3000a\ufeff\x1f\n')])).toBe('<bos><start_of_turn>user\na\ufeff<end_of_turn>\n');
  });

  it('continues the turn after a tool response, whoever speaks', () => {
    const messages: TemplateMessage[] = [
      user('q'),
      { role: 'assistant', tool_calls: [call('f')] },
      { role: 'tool', name: 'f', content: 'ok' },
      user('and?'),
    ];
    expect(render(messages, [], { addGenerationPrompt: true })).toBe(
      '<bos><start_of_turn>user\nq<end_of_turn>\n<start_of_turn>model\n<start_function_call>call:f{}<end_function_call>' +
        '<start_function_response>response:f{value:<escape>ok<escape>}<end_function_response>and?<end_of_turn>\n<start_of_turn>model\n',
    );
  });

  it('pastes arguments that are a text after 20 spaces', () => {
    const message: TemplateMessage = {
      role: 'assistant',
      tool_calls: [{ function: { name: 'f', arguments: '{"a":1}' } }],
    };
    expect(render([message])).toContain(`call:f{${' '.repeat(20)}{"a":1}}<end_function_call>`);
  });

  it.each<[string, TemplateMessage[], RegExp]>([
    ['no message', [], /has no message/],
    ['content that is a number', [{ role: 'user', content: 5 }], /Message content is 5, expected a text or a list/],
    ['a response without a name', [{ role: 'tool', content: { a: 1 } }], /names no function/],
    ['a text response without a name', [{ role: 'tool', content: 'x' }], /text content has no name/],
    [
      'a list of texts as responses',
      [{ role: 'tool', name: 'f', content: ['x'] }],
      /holds the response x, expected an object/,
    ],
    [
      'a response that is no object',
      [{ role: 'tool', content: { name: 'f', response: 'x' } }],
      /"response" is x, expected an object/,
    ],
    [
      'a call without a name',
      [{ role: 'assistant', tool_calls: [{ function: {} as never }] }],
      /function\.name is nothing, expected a text/,
    ],
  ])('refuses %s', (_name, messages, message) => {
    expect(() => render(messages)).toThrow(TemplateError);
    expect(() => render(messages)).toThrow(message);
  });
});

describe('segments', () => {
  it('mark calls up to the token that asks for the response, and texts up to the end of the turn', () => {
    const messages: TemplateMessage[] = [
      { role: 'developer', content: 'dev' },
      user('one'),
      { role: 'assistant', content: ' hi ' },
      user('two'),
      { role: 'assistant', tool_calls: [call('f', { a: 1 }), call('g')] },
      {
        role: 'tool',
        content: [
          { name: 'f', response: { r: 'x' } },
          { name: 'g', response: {} },
        ],
      },
      { role: 'assistant', content: 'done' },
      user('three'),
      { role: 'assistant', content: 'thinking', tool_calls: [call('h')] },
    ];
    expect(renderSegments(messages)).toEqual([
      {
        role: 'prompt',
        text: '<bos><start_of_turn>developer\ndev<end_of_turn>\n<start_of_turn>user\none<end_of_turn>\n<start_of_turn>model\n',
      },
      { role: 'answer', turn: 0, text: 'hi<end_of_turn>' },
      { role: 'prompt', text: '\n<start_of_turn>user\ntwo<end_of_turn>\n<start_of_turn>model\n' },
      {
        role: 'answer',
        turn: 1,
        text: '<start_function_call>call:f{a:1}<end_function_call><start_function_call>call:g{}<end_function_call><start_function_response>',
      },
      {
        role: 'prompt',
        text: 'response:f{r:<escape>x<escape>}<end_function_response><start_function_response>response:g{}<end_function_response>',
      },
      { role: 'answer', turn: 2, text: 'done<end_of_turn>' },
      { role: 'prompt', text: '\n<start_of_turn>user\nthree<end_of_turn>\n<start_of_turn>model\n' },
      {
        role: 'answer',
        turn: 3,
        text: 'thinking<start_function_call>call:h{}<end_function_call><start_function_response>',
      },
    ]);
  });

  it('keep two answers in a row apart', () => {
    const answers = renderSegments([
      { role: 'assistant', tool_calls: [call('f')] },
      { role: 'tool', content: '' },
      { role: 'assistant', content: 'a' },
    ]).filter((segment) => segment.role === 'answer');
    expect(answers).toEqual([
      { role: 'answer', turn: 0, text: '<start_function_call>call:f{}<end_function_call>' },
      { role: 'answer', turn: 1, text: 'a<end_of_turn>' },
    ]);
  });
});
