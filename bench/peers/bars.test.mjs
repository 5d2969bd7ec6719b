import { describe, expect, it } from 'vitest';
import { bars } from './bars.mjs';

const ratio = (more = {}) => ({
  peer: 'trl',
  loss: 'full',
  precision: 'amp',
  ratio: 3,
  memoryRatio: 0.5,
  lossesAgree: true,
  ...more,
});
const found = (/** @type {object[]} */ results) =>
  Object.fromEntries(bars(results).map(({ what, value, met }) => [what, [value, met]]));

describe('bars', () => {
  it('are against the fastest TRL, in speed and in memory', () => {
    const slow = ratio({ ratio: 4, memoryRatio: 0.7 });
    const plain = ratio({ peer: 'transformers', ratio: 1, memoryRatio: 2 });
    expect(found([{ peer: 'gemmatune', tokensPerSecond: 1 }, slow, ratio(), plain])).toEqual({
      'full-sequence training speed against the fastest TRL, amp': [3, true],
      'peak memory of training against the fastest TRL, amp': [0.5, true],
    });
  });

  it('take the worse memory of two losses', () =>
    expect(found([ratio(), ratio({ loss: 'completion', ratio: 3, memoryRatio: 0.65 })])).toEqual({
      'full-sequence training speed against the fastest TRL, amp': [3, true],
      'completion training speed against the fastest TRL, amp': [3, false],
      'peak memory of training against the fastest TRL, amp': [0.65, false],
    }));

  it('are not met by a speed whose losses differ', () =>
    expect(Object.values(found([ratio({ lossesAgree: false })]))[0]).toEqual([3, false]));

  it('of generation, by precision', () =>
    expect(found([{ what: 'generate', precision: 'bf16', ratio: 6 }])).toEqual({
      'greedy generation against transformers, bf16': [6, true],
    }));

  it('are none where nothing was measured', () => expect(bars([])).toEqual([]));
});
