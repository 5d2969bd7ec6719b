import { describe, expect, it } from 'vitest';
import { PYTHON_SPACE, strip } from './python-text.js';

// [c for c in map(chr, range(0x10000)) if c.isspace()] in Python 3; re's \s matches the same.
const SPACES = [
  ...[9, 10, 11, 12, 13, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x85, 0xa0, 0x1680],
  ...Array.from({ length: 11 }, (_, i) => 0x2000 + i),
  ...[0x2028, 0x2029, 0x202f, 0x205f, 0x3000],
];

describe('white space', () => {
  it("is Python's over the whole basic plane", () => {
    const space = new RegExp(`^${PYTHON_SPACE}$`);
    const all = Array.from({ length: 0x10000 }, (_, code) => code);
    expect(all.filter((code) => space.test(String.fromCharCode(code)))).toEqual(SPACES);
    expect(all.filter((code) => strip(String.fromCharCode(code)) === '')).toEqual(SPACES);
  });

  it('is stripped at both ends only', () => {
    expect(strip('\x1c\u3000 a \x85 b\ufeff\x1f\n')).toBe('a \x85 b\ufeff');
  });
});
