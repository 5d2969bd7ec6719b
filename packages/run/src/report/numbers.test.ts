import { expect, it } from 'vitest';
import { duration, percent } from './numbers.js';

it('says percent', () => {
  expect([percent(0.12345), percent(1), percent(null), percent(undefined)]).toEqual(['12.3 %', '100.0 %', '-', '-']);
});

it.each([
  [0.4, '0 s'],
  [59.6, '1 min 00 s'],
  [185, '3 min 05 s'],
  [7800, '2 h 10 min'],
  [Number.NaN, 'unknown'],
])('says %d seconds', (seconds, shown) => {
  expect(duration(seconds)).toBe(shown);
});
