import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { goldenPath } from './load.js';
// @ts-expect-error a script without types
import { nativeText } from './native.mjs';

it('the golden training that C++ reads is the one in JSON', () => {
  expect(readFileSync(goldenPath('tiny/native.txt'), 'utf8')).toBe(nativeText());
});
