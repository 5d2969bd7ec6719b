import type { Model } from '@gemmatune/engine';
import { promptOf } from '@gemmatune/eval';
import { Tokenizer } from '@gemmatune/tokenizer';
import { expect, it } from 'vitest';
import type { Context } from './command.js';
import { evaluateRows } from './evaluation.js';
import { Captured, TINY, toolRow } from './program.case.js';
import { ranksOf } from './ranks/ranks.case.js';

it('asks conversations with their own prompt and rows of prepare with that of their format', async () => {
  const tokenizer = await Tokenizer.load(TINY);
  const asked: string[] = [];
  const model = {
    async generate(prompts: readonly Int32Array[]) {
      asked.push(...prompts.map((ids) => tokenizer.decode(ids, { skipSpecialTokens: false })));
      return prompts.map(() => new Int32Array());
    },
  } as unknown as Model;
  const row = toolRow('get_weather', '{"city": "Porto"}') as Parameters<typeof promptOf>[0];
  const own = '<bos><start_of_turn>user\nWeather?<end_of_turn>\n<start_of_turn>model\n';
  const context = { stderr: new Captured(), signal: new AbortController().signal } as unknown as Context;

  const { n_eval } = await evaluateRows(
    model,
    tokenizer,
    [
      { row, prompt: null },
      { row, prompt: own },
    ],
    { maxNewTokens: 8, format: 'native', title: 'Evaluating' },
    context,
  );
  expect(asked).toEqual([promptOf(row, 'native'), own]);
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
  } as unknown as Model;
  const questions = ['Porto', 'Lyon', 'Bonn', 'Bern', 'Rome'].map((city) => {
    const row = toolRow('get_weather', '{"city": "Porto"}', `Weather in ${city}?`) as Parameters<typeof promptOf>[0];
    return { row, prompt: null };
  });
  const how = { maxNewTokens: 8, format: 'native' as const, title: 'Evaluating' };
  const context = { stderr: new Captured(), signal: new AbortController().signal } as unknown as Context;
  const alone = await evaluateRows(model, tokenizer, questions, how, context);
  expect(new Set(alone.predictions.map(({ text }) => text)).size).toBe(5);

  asked.length = 0;
  const all = await Promise.all(
    ranksOf(size).map((ranks) => evaluateRows(model, tokenizer, questions, how, context, ranks)),
  );
  for (const each of all) expect(each).toEqual(alone);
  expect(asked.sort()).toEqual(
    Array.from({ length: size }, (_, rank) => Math.floor((5 - rank + size - 1) / size)).sort(),
  );
});
