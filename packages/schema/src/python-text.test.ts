import { describe, expect, it } from 'vitest';
import { PYTHON_SPACE, pythonFloat, strip } from './python-text.js';

describe('pythonFloat', () => {
  // Right-hand sides are repr(float) of Python 3.11.
  it.each([
    [0, '0.0'],
    [-0, '-0.0'],
    [1, '1.0'],
    [20, '20.0'],
    [0.5, '0.5'],
    [-2.5, '-2.5'],
    [0.1 + 0.2, '0.30000000000000004'],
    [1e-4, '0.0001'],
    [0.00012, '0.00012'],
    [9.999e-5, '9.999e-05'],
    [4.996456739191905e-5, '4.996456739191905e-05'],
    [0.00001, '1e-05'],
    [1e-7, '1e-07'],
    [1.5e-7, '1.5e-07'],
    [703.472, '703.472'],
    [2 ** 53, '9007199254740992.0'],
    [1e15, '1000000000000000.0'],
    [1e16, '1e+16'],
    [123456789012345680, '1.2345678901234568e+17'],
    [1.2345e22, '1.2345e+22'],
    [1e100, '1e+100'],
    [1.5e300, '1.5e+300'],
    [1.7976931348623157e308, '1.7976931348623157e+308'],
    [5e-324, '5e-324'],
    [Number.NaN, 'nan'],
    [Infinity, 'inf'],
    [-Infinity, '-inf'],
  ])('%d is %s', (x, text) => expect(pythonFloat(x)).toBe(text));
});

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
