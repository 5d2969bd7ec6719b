import type { JsonObject } from '@gemmatune/schema';
import { describe, expect, it } from 'vitest';
import type { TemplateMessage, TemplateTool } from '../conversation.js';
import { templateWarnings } from './warnings.js';

const developer: TemplateMessage = { role: 'developer', content: 'd' };
const user: TemplateMessage = { role: 'user', content: 'q' };
const calls: TemplateMessage = { role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: { a: 1 } } }] };
const response: TemplateMessage = { role: 'tool', name: 'f', content: 'ok' };
const tool = (properties: JsonObject): TemplateTool => ({
  function: { name: 'f', parameters: { type: 'object', properties } },
});

it('says nothing about clean input', () => {
  const clean = tool({
    a: { type: 'string', enum: ['x'] },
    o: { type: 'object', properties: { b: { type: 'integer' } } },
    l: { type: 'array', items: { type: 'string' } },
  });
  const messages: TemplateMessage[] = [
    developer,
    user,
    calls,
    response,
    { role: 'assistant', content: 'a' },
    user,
    calls,
  ];
  expect(templateWarnings(messages, [clean, { function: { name: 'g' } }])).toEqual([]);
});

describe('conversations', () => {
  it.each<[string, TemplateMessage[], TemplateTool[], string]>([
    ['tools without a developer line', [user], [tool({})], 'There are tools but no developer message first'],
    [
      'a late system message',
      [user, { role: 'system', content: 's' }],
      [],
      'messages[1] is a system message that is not the first',
    ],
    [
      'a user after a tool response',
      [user, calls, response, user],
      [],
      'messages[3] is a user message directly after a tool response',
    ],
    [
      'calls that nothing answers',
      [user, calls, user],
      [],
      'messages[2] follows a message with tool calls that no tool message answers',
    ],
    [
      'an empty tool message',
      [user, calls, { role: 'tool', content: '' }],
      [],
      'messages[2] is a tool message without content',
    ],
    [
      'arguments as a text',
      [{ role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: '{}' } }] }],
      [],
      'messages[0].tool_calls[0].function.arguments is a text',
    ],
    [
      '<escape> inside',
      [{ role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: { a: [{ b: '<escape>' }] } } }] }],
      [],
      'function.arguments holds the token <escape>',
    ],
  ])('%s', (_name, messages, tools, start) => {
    expect(templateWarnings(messages, tools)).toEqual([expect.stringContaining(start)]);
  });
});

describe('tools', () => {
  it('parameters without a type', () => {
    const warnings = templateWarnings([developer], [{ function: { name: 'f', parameters: { properties: {} } } }]);
    expect(warnings).toEqual([
      'tool f: parameters has no type, so its closing brace is missing and a comma is left over; set type to "object".',
    ]);
  });
  it.each<[string, JsonObject, string]>([
    ['a list of types', { a: { type: ['string', 'null'] } }, 'tool f: parameters.a has a list of types'],
    ['no type', { a: { description: 'x' } }, 'tool f: parameters.a has no type'],
    ['null in place of a property', { a: null }, 'tool f: parameters.a is no object'],
    ['a keyword as a name', { required: { type: 'string' } }, 'tool f: parameters.required is left out'],
    [
      'an object without properties',
      { o: { type: 'object', additionalProperties: true } },
      'tool f: parameters.o is an object without properties, and prints its additionalProperties as if',
    ],
    [
      'nested',
      { o: { type: 'object', properties: { l: { type: 'array', items: { type: 'object', properties: { x: {} } } } } } },
      'tool f: parameters.o.l.items.x has no type',
    ],
  ])('%s', (_name, properties, start) => {
    expect(templateWarnings([developer], [tool(properties)])).toEqual([expect.stringContaining(start)]);
  });
});
