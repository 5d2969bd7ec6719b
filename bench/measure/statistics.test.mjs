import { describe, expect, it } from 'vitest';
import { median, quantile, ratioOfMedians, spread } from './statistics.mjs';

describe('quantile', () => {
  it("is numpy's", () => {
    // numpy.quantile([7, 1, 3, 10], [0, 0.25, 0.5, 0.75, 1])
    expect([0, 0.25, 0.5, 0.75, 1].map((share) => quantile([7, 1, 3, 10], share))).toEqual([1, 2.5, 5, 7.75, 10]);
  });

  it('leaves its argument as it is', () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });

  it('refuses no values', () => expect(() => median([])).toThrow('no values were measured'));
});

it('spread: the distance between the quartiles', () => {
  expect(spread([1, 2, 3, 4, 5])).toBe(2);
  expect(spread([4])).toBe(0);
});

describe('ratioOfMedians', () => {
  it('has the range of the rounds', () => {
    // A machine that became half as fast in the second round.
    expect(ratioOfMedians([100, 50, 90], [50, 20, 45])).toEqual({ ratio: 2, ratioLow: 2, ratioHigh: 2.5 });
  });

  it('refuses sides with different numbers of rounds', () =>
    expect(() => ratioOfMedians([1, 2], [1])).toThrow('2 and 1 rounds'));
});
