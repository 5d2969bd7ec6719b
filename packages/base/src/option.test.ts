import { describe, expect, it } from 'vitest';
import { choice, flag, integer, interval, number, type Option, optional, required, text } from './option.js';

describe('options', () => {
  // [option, what it takes, what it refuses, how that is said]
  const cases: [string, Option<unknown>, unknown[], unknown[], string][] = [
    [
      'number',
      number('', 1, { above: 0, max: 2 }),
      [1e-9, 2],
      [0, 2.1, Number.NaN, '1', null],
      'a number above 0 and of at most 2',
    ],
    [
      'integer',
      integer('', 1, { min: 0, below: 5 }),
      [0, 4],
      [-1, 5, 1.5, 2 ** 53, '1'],
      'an integer of at least 0 and below 5',
    ],
    [
      'interval',
      interval('', null),
      [null, 1, 10, 0.5],
      [0, -1, 1.5, Infinity],
      'an integer of at least 1, or a share of all steps between 0 and 1',
    ],
    ['flag', flag(''), [true, false], [0, 'true', null], 'true or false'],
    ['choice', choice('', ['a', 'b'], 'a'), ['a', 'b'], ['c', '', null], "'a' or 'b'"],
    ['text', text(''), [null, 'x'], ['', 5], 'a text'],
    ['text with a default', text('', 'x', 'a folder'), ['x', 'y'], ['', null], 'a folder'],
    ['required', required(''), ['x'], ['', null], 'a text'],
    ['optional', optional(integer('', 1, { min: 1 })), [null, 1], [0, '1'], 'an integer of at least 1'],
  ];
  it.each(cases)('%s', (_, option, taken, refused, expected) => {
    for (const value of taken) expect(option.accepts(value), String(value)).toBe(true);
    for (const value of refused) expect(option.accepts(value), String(value)).toBe(false);
    expect(option.expected).toBe(expected);
    if (!option.required) expect(option.accepts(option.default)).toBe(true);
  });
  it('a choice knows what there is to choose, for help and for types', () => {
    const saving = choice('When to save.', ['no', 'steps'], 'no');
    expect(saving).toMatchObject({ values: ['no', 'steps'], type: "'no' | 'steps'", expected: "'no' or 'steps'" });
    expect(optional(saving).type).toBe("'no' | 'steps' | null");
    expect(text('A place.').type).toBe('string | null');
    expect(interval('Every so often.', 10).type).toBe('number');
  });
});
