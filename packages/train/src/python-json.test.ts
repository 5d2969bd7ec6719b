import { describe, expect, it } from 'vitest';
import { pythonJson } from './python-json.js';

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
