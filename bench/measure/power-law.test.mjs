import { expect, it } from 'vitest';
import { exponentOf } from './power-law.mjs';

const points = (y) => [2048, 4096, 8192].map((x) => ({ x, y: y(x) }));

it.each([
  ['linear', (x) => 3 * x, 1],
  ['quadratic', (x) => x * x, 2],
  ['constant', () => 5, 0],
])('finds the exponent of a %s law', (_what, y, exponent) => {
  expect(exponentOf(points(y))).toBeCloseTo(exponent, 12);
});

it('refuses what has no logarithm', () => {
  expect(() => exponentOf([{ x: 1, y: 0 }])).toThrow('1 points, or one that is not above 0');
});
