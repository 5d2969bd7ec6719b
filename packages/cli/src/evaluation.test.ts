import type { Model } from '@gemmatune/engine';
import { promptOf } from '@gemmatune/eval';
import { Tokenizer } from '@gemmatune/tokenizer';
import { expect, it } from 'vitest';
import type { Context } from './command.js';
import { evaluateRows } from './evaluation.js';
import { Captured, TINY, toolRow } from './program.case.js';

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
