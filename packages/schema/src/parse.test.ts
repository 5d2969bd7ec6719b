import { InputError } from '@gemmatune/base';
import { describe, expect, it } from 'vitest';
import { JsonNumber } from './exact-json.js';
import { parseExample } from './parse.js';

const tool = { type: 'function', function: { name: 'f', description: 'd', parameters: { type: 'object' } } };

describe('parseExample', () => {
  it('takes the five shapes and drops what it does not know', () => {
    const toolRow = { user_content: null, tool_name: 'f', tool_arguments: '{"a": 5.0}', hf_tools: [tool] };
    expect(parseExample({ ...toolRow, index: 3 }, 'row')).toEqual(toolRow);
    expect(parseExample({ prompt: 'p', completion: 'c', x: 1 }, 'row')).toEqual({ prompt: 'p', completion: 'c' });
    expect(parseExample({ text: '' }, 'row')).toEqual({ text: '' });
    expect(parseExample({ input_ids: [1, 2], labels: [-100, 2] }, 'row')).toEqual({
      input_ids: [1, 2],
      labels: [-100, 2],
    });
    expect(parseExample({ input_ids: [1], labels: null }, 'row')).toEqual({ input_ids: [1] });
  });

  it('reads tools and arguments given as JSON text, and bare declarations', () => {
    const row = {
      messages: [
        { role: 'user', content: 'q' },
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'c1', function: { name: 'f', arguments: '{"a": 1}' } }],
        },
        { role: 'tool', name: 'f', content: { ok: true } },
      ],
      tools: '[{"name": "f", "parameters": {"x": NaN}}]',
    };
    expect(parseExample(row, 'row')).toEqual({
      messages: [
        { role: 'user', content: 'q' },
        {
          role: 'assistant',
          tool_calls: [{ type: 'function', id: 'c1', function: { name: 'f', arguments: { a: 1 } } }],
        },
        { role: 'tool', name: 'f', content: { ok: true } },
      ],
      tools: [{ type: 'function', function: { name: 'f', parameters: { x: Number.NaN } } }],
    });
  });

  it('shows null names and descriptions as the reference template prints them', () => {
    const row = parseExample(
      { messages: [{ role: 'user' }], tools: [{ function: { name: null, description: null } }] },
      'row',
    );
    expect(row).toMatchObject({ tools: [{ function: { name: 'None', description: 'None' } }] });
  });

  it.each([
    [7, 'rows.jsonl line 2: found 7, expected an object.'],
    [[{ text: 'x' }], 'rows.jsonl line 2: found [{"text":"x"}], expected an object.'],
    [{ a: 1 }, 'found the keys a, expected one of'],
    [{}, 'found the keys (none)'],
    [{ text: 5 }, 'rows.jsonl line 2: text: found 5, expected text.'],
    [{ completion: 'c' }, 'rows.jsonl line 2: prompt: found nothing, expected text.'],
    [{ messages: [] }, 'messages: found no message, expected at least one.'],
    [{ messages: [{ role: 'human' }] }, "messages[0].role: found 'human', expected one of system, developer, user"],
    [{ messages: [{ role: 'user' }], tools: '[' }, "tools: found the text '[', expected JSON."],
    [
      { messages: [{ role: 'user' }], tools: [{ function: { name: 3 } }] },
      'tools[0].function.name: found 3, expected text.',
    ],
    [
      { messages: [{ role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: '5' } }] }] },
      'tool_calls[0].function.arguments: found 5, expected an object.',
    ],
    [
      { tool_name: 'f', tool_arguments: '[]', hf_tools: [] },
      "tool_arguments is '[]', expected the JSON text of an object.",
    ],
    [{ input_ids: [] }, 'input_ids is empty'],
    [{ input_ids: [1, 2.5] }, 'input_ids[1]: found 2.5, expected an integer.'],
    [{ input_ids: [1, new JsonNumber('2.0')] }, 'input_ids[1]: found 2.0, expected an integer.'],
    [{ input_ids: [1, -2] }, 'input_ids holds -2, expected ids of at least 0.'],
    [{ input_ids: [1, 2], labels: [1] }, 'labels has 1 entries, expected 2 as in input_ids.'],
  ])('refuses %j', (value, message) => {
    const parse = () => parseExample(value, 'rows.jsonl line 2');
    expect(parse).toThrow(InputError);
    expect(parse).toThrow(message);
  });
});
