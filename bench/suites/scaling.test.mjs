import { expect, it } from 'vitest';
import { defaultsOf } from '../command-line.mjs';
import { contextOf } from '../report/fixtures.mjs';
import { scaling } from './scaling.mjs';

const defaults = defaultsOf(scaling.options);
const context = contextOf();

it('measures steps and lengths, and puts ratio and exponents into its bars', async () => {
  const options = { ...defaults, sequences: '1,2', timed: '2', rounds: '1', lengths: '300,600', dtype: 'float32' };
  const { results, bars } = await scaling.run(options, context);
  const of = (/** @type {string} */ what) => results.filter((each) => each.what === what);
  expect(of('sequences').map(({ sequences }) => sequences)).toEqual([1, 2]);
  for (const what of ['attention memory', 'attention time'])
    expect(of(what).map(({ tokens }) => tokens)).toEqual([300, 600]);
  const [short, long] = of('attention memory').map(({ activationBytes }) => activationBytes);
  expect(long / short).toBeGreaterThan(1.5);
  expect(long / short).toBeLessThan(2.1);
  expect(of('growth')).toHaveLength(4);
  expect(bars.map(({ what }) => what)).toEqual([
    'tokens/s from 1 to 2 sequences a step, most over least',
    'activation bytes of one sequence of 300 to 600 tokens, exponent',
    'peak memory of training of one sequence of 300 to 600 tokens, exponent',
  ]);
  for (const { value, bar, met } of bars) expect(met).toBe(value <= bar);
  expect(bars[1].met).toBe(true);
});

it.each([
  [{ lengths: '64' }, '--sequences and --lengths: expected at least two numbers each'],
  [{ sequences: '1,x' }, "--sequences: found '1,x', expected whole numbers above 0"],
])('refuses %j', async (given, message) => {
  await expect(scaling.run({ ...defaults, ...given }, context)).rejects.toThrow(message);
});
