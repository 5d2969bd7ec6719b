import { describe, expect, it } from 'vitest';
import { matchesAny } from './paths.js';

describe('matchesAny', () => {
  // Expected values: Python 3.11's fnmatch.fnmatchcase.
  it.each([
    ['a/b.json', '*.json', true],
    ['a/b.json', 'b.json', false],
    ['model-00001.safetensors', 'model-0000?.safetensors', true],
    ['x.bin', '*.[ab]in', true],
    ['x.bin', '*.[!ab]in', false],
    ['x.cin', '*.[!ab]in', true],
    ['x5', 'x[0-9]', true],
    ['a+b(c).json', 'a+b(c).json', true],
    ['aXjson', 'a.json', false],
    ['a[', 'a[', true],
    ['a^', 'a[\\^]', true],
    ['onnx/model.onnx', 'onnx/', true],
    ['onnx2/model.onnx', 'onnx/', false],
  ])('%s against %s is %s', (path, pattern, expected) => {
    expect(matchesAny(path, ['nothing', pattern])).toBe(expected);
  });
});
