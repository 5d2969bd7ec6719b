import { fileURLToPath } from 'node:url';
import { questionOf } from '@gemmatune/eval';
import type { ToolRow } from '@gemmatune/schema';
import { Tokenizer } from '@gemmatune/tokenizer';
import { expect, it } from 'vitest';
import { Meeting } from '../../train/src/ranks.case.js';
import { evaluateOnRanks } from './evaluate.js';

const TINY = fileURLToPath(new URL('../../../test/golden/tiny', import.meta.url));
const parameters = { type: 'object', properties: { city: { type: 'string', description: 'c' } }, required: ['city'] };
const rowOf = (city: string): ToolRow => ({
  user_content: `Weather in ${city}?`,
  tool_name: 'get_weather',
  tool_arguments: '{"city": "Porto"}',
  hf_tools: [
    { type: 'function', function: { name: 'get_weather', description: 'w', parameters: parameters as never } },
  ],
});

it('asks each question by its own prompt', async () => {
  const tokenizer = await Tokenizer.load(TINY);
  const asked: string[] = [];
  const model = {
    async generate(prompts: readonly Int32Array[]) {
      asked.push(...prompts.map((ids) => tokenizer.decode(ids, { skipSpecialTokens: false })));
      return prompts.map(() => new Int32Array());
    },
  };
  const own = '<bos><start_of_turn>user\nWeather?<end_of_turn>\n<start_of_turn>model\n';
  const questions = [questionOf(rowOf('Porto'), 'native'), questionOf(rowOf('Porto'), 'native', own)];
  const { n_eval } = await evaluateOnRanks(model, tokenizer, questions, { maxNewTokens: 8 }, 'x');
  expect(asked).toEqual([questions[0]!.prompt, own]);
  expect(asked[0]).not.toBe(own);
  expect(n_eval).toBe(2);
});

it.each([2, 3, 7])('%i ranks divide the questions, and each gets the evaluation that one would', async (size) => {
  const tokenizer = await Tokenizer.load(TINY);
  const asked: number[] = [];
  /** Answers as its prompt ends: calls of unlike quality, and each question its own. */
  const model = {
    async generate(prompts: readonly Int32Array[]) {
      asked.push(prompts.length);
      return prompts.map((ids) => {
        const city = /in (\w+)/.exec(tokenizer.decode(ids, { skipSpecialTokens: true }))?.[1];
        const call = `<start_function_call>call:get_weather{city:<escape>${city}<escape>}<end_function_call>`;
        return tokenizer.encode(call, { addSpecialTokens: false });
      });
    },
  };
  const questions = ['Porto', 'Lyon', 'Bonn', 'Bern', 'Rome'].map((city) => questionOf(rowOf(city), 'native'));
  const alone = await evaluateOnRanks(model, tokenizer, questions, {}, 'x');
  expect(new Set(alone.predictions.map(({ text }) => text)).size).toBe(5);

  asked.length = 0;
  const all = await Promise.all(
    new Meeting(size).ranks.map((ranks) => evaluateOnRanks(model, tokenizer, questions, {}, 'x', ranks)),
  );
  for (const each of all) expect(each).toEqual(alone);
  expect(asked.sort()).toEqual(
    Array.from({ length: size }, (_, rank) => Math.floor((5 - rank + size - 1) / size)).sort(),
  );
});
