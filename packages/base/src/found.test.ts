import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { isMissing, isSystemError, reasonOf, shown } from './found.js';

describe('shown', () => {
  const ring: unknown[] = [];
  ring.push(ring);
  class Written {
    toString() {
      return '5.0';
    }
  }
  it.each([
    ['abc', "'abc'"],
    ['say "a"', `'say "a"'`],
    ['a\nb', "'a\\nb'"],
    [5, '5'],
    [Number.NaN, 'NaN'],
    [10n, '10'],
    [true, 'true'],
    [null, 'null'],
    [undefined, 'nothing'],
    [() => 1, 'a function'],
    [[1, 'a'], '[1,"a"]'],
    [{ a: 1 }, '{"a":1}'],
    [Object.create(null), '{}'],
    [new Written(), '5.0'],
    [Float32Array.of(1, 2), '1,2'],
    [{ n: 1n }, 'an object'],
    [ring, 'a list'],
  ])('%#', (value, text) => {
    expect(shown(value)).toBe(text);
  });
  it('is short', () => {
    expect(shown('x'.repeat(100))).toBe(`'${'x'.repeat(56)}...`);
    expect(shown(Array.from({ length: 1000 }, () => 1))).toHaveLength(60);
  });
});

describe('reasonOf', () => {
  it('says what the system refused, in words', async () => {
    const missing = await readFile('/no/such/file').catch((error: unknown) => error);
    expect(isMissing(missing)).toBe(true);
    expect(reasonOf(missing)).toBe('there is no such file');
    expect(reasonOf(missing, { ENOENT: 'the folder is not there' })).toBe('the folder is not there');
    const folder = await readFile('/').catch((error: unknown) => error);
    expect(isMissing(folder)).toBe(false);
    expect(reasonOf(folder)).toBe('this is a folder');
  });
  it('is the message of any other failure', () => {
    expect(reasonOf(new Error('It broke.'))).toBe('It broke');
    expect(reasonOf(Object.assign(new Error('odd'), { code: 'EODD' }))).toBe('odd');
    expect(reasonOf('a text')).toBe('a text');
    expect(isSystemError(Object.assign(new Error('x'), { code: 'ERR_GEMMATUNE_INPUT' }))).toBe(false);
    expect(isSystemError(null)).toBe(false);
  });
});
