import { expect, it } from 'vitest';
import { defaultsOf } from '../command-line.mjs';
import { contextOf } from '../report/fixtures.mjs';
import { kernels } from './kernels.mjs';

it.each([
  [{ ops: 'matmul,rmsnorn' }, '--ops names "rmsnorn"; expected some of adamw, attention,'],
  [{ families: 'avx3' }, '--families names "avx3"; expected some of best, no-amx, avx512, avx2, portable'],
  [{ repeat: '0' }, '--repeat is "0"; expected a whole number of rounds, at least 1'],
])('refuses %j before anything runs', async (wrong, message) => {
  await expect(kernels.run({ ...defaultsOf(kernels.options), ...wrong }, contextOf())).rejects.toThrow(message);
});
