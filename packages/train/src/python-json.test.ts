import { describe, expect, it } from 'vitest';
import { pythonFloat, pythonJson } from './python-json.js';

describe('pythonFloat', () => {
  // Right-hand sides are repr(float) of Python 3.11.
  it.each([
    [0, '0.0'],
    [-0, '-0.0'],
    [1, '1.0'],
    [-2.5, '-2.5'],
    [5e-5, '5e-05'],
    [4.996456739191905e-5, '4.996456739191905e-05'],
    [0.0001, '0.0001'],
    [0.00012, '0.00012'],
    [9.999e-5, '9.999e-05'],
    [0.1 + 0.2, '0.30000000000000004'],
    [1e15, '1000000000000000.0'],
    [123456789012345680, '1.2345678901234568e+17'],
    [2 ** 53, '9007199254740992.0'],
    [1e16, '1e+16'],
    [1e22, '1e+22'],
    [5e-324, '5e-324'],
    [1.7976931348623157e308, '1.7976931348623157e+308'],
    [703.472, '703.472'],
    [14294592, '14294592.0'],
  ])('%d', (x, expected) => {
    expect(pythonFloat(x)).toBe(expected);
    expect(Number(pythonFloat(x))).toBe(x);
  });
});

describe('pythonJson', () => {
  it('prints as json.dumps(indent=2, sort_keys=True) does', () => {
    const value = { step: 3, loss: 1, list: [{ b: 1, a: 'é "x"\n' }], none: null, empty: {}, nothing: [], yes: true };
    expect(pythonJson(value, new Set(['step']))).toBe(`{
  "empty": {},
  "list": [
    {
      "a": "\\u00e9 \\"x\\"\\n",
      "b": 1.0
    }
  ],
  "loss": 1.0,
  "none": null,
  "nothing": [],
  "step": 3,
  "yes": true
}`);
  });

  it('writes null for what JSON cannot hold', () => {
    expect(pythonJson({ loss: Number.NaN, norm: Infinity }, new Set())).toBe('{\n  "loss": null,\n  "norm": null\n}');
  });
});
