import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseExactJson, parseJson, plainJson, type ToolRow } from '@gemmatune/schema';
import { describe, expect, it } from 'vitest';
import { parseCalls } from './parse.js';
import { DEVELOPER_LINE, renderToolRow, toolRowMessages } from './tool-row.js';

const row: ToolRow = {
  user_content: 'Weather in Paris?',
  tool_name: 'get_weather',
  tool_arguments: '{"unit": "C", "city": "Paris", "days": 3.0, "big": 1e+16}',
  hf_tools: [
    {
      type: 'function',
      function: { name: 'get_weather', description: 'W', parameters: { type: 'dict', properties: {} } },
    },
  ],
};
const PROMPT =
  '<bos><start_of_turn>developer\nYou are a model that can do function calling with the following functions' +
  '<start_function_declaration>declaration:get_weather{description:<escape>W<escape>,parameters:{type:<escape>DICT<escape>}}<end_function_declaration><end_of_turn>\n' +
  '<start_of_turn>user\nWeather in Paris?<end_of_turn>\n<start_of_turn>model\n';

describe('renderToolRow', () => {
  it('native: sorted keys, numbers as written, ended by the token that asks for the response', () => {
    expect(renderToolRow(row)).toEqual([
      { role: 'prompt', text: PROMPT },
      {
        role: 'answer',
        turn: 0,
        text: '<start_function_call>call:get_weather{big:1e+16,city:<escape>Paris<escape>,days:3.0,unit:<escape>C<escape>}<end_function_call><start_function_response>',
      },
    ]);
  });

  it("tutorial: the row's own JSON text, ended by <eos>", () => {
    expect(renderToolRow(row, { format: 'tutorial' })).toEqual([
      { role: 'prompt', text: PROMPT },
      {
        role: 'answer',
        turn: 0,
        text: `<start_function_call>call:get_weather{args:<escape>${row.tool_arguments}<escape>}<end_function_call><eos>`,
      },
    ]);
  });

  it('renders a user who says nothing', () => {
    const [prompt] = renderToolRow({ ...row, user_content: null });
    expect(prompt.text).toContain('<start_of_turn>user\n<end_of_turn>\n<start_of_turn>model\n');
  });

  it('refuses arguments that are no object', () => {
    expect(() => renderToolRow({ ...row, tool_arguments: '[1]' })).toThrow(
      'tool_arguments of get_weather is [1], expected the JSON text of an object.',
    );
    expect(() => renderToolRow({ ...row, tool_arguments: '{' })).toThrow(SyntaxError);
  });
});

it('toolRowMessages gives developer, user and the gold call', () => {
  const messages = toolRowMessages(row);
  expect(messages.map(({ role }) => role)).toEqual(['developer', 'user', 'assistant']);
  expect(messages[0]!.content).toBe(DEVELOPER_LINE);
});

const rowsPath = resolve(import.meta.dirname, '../../../../../shared/data/hermes_style/expected_rows.jsonl');
describe.skipIf(!existsSync(rowsPath))('real rows (shared/data/hermes_style/expected_rows.jsonl)', () => {
  it('come back from both formats, and both share the prompt', () => {
    const lines = readFileSync(rowsPath, 'utf8').split('\n').filter(Boolean);
    expect(lines).toHaveLength(587);
    for (const line of lines) {
      const real = parseJson(line) as unknown as ToolRow;
      const gold = { name: real.tool_name, arguments: plainJson(parseExactJson(real.tool_arguments)) };
      const [prompt, answer] = renderToolRow(real);
      const [tutorialPrompt, tutorialAnswer] = renderToolRow(real, { format: 'tutorial' });
      expect(tutorialPrompt).toEqual(prompt);
      expect(parseCalls(answer.text)).toEqual({ calls: [gold], content: '', errors: [] });
      expect(parseCalls(tutorialAnswer.text)).toEqual({ calls: [gold], content: '', errors: [] });
    }
  });
});
