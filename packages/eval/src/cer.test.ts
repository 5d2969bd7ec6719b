import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { characterErrors } from './cer.js';

describe('characterErrors', () => {
  it('counts code points, strips as Python does, and keeps inner blanks', () => {
    expect(characterErrors('kitten', 'sitting')).toEqual({ edits: 3, characters: 7 });
    expect(characterErrors('', 'abc')).toEqual({ edits: 3, characters: 3 });
    expect(characterErrors('abc', '')).toEqual({ edits: 3, characters: 0 });
    expect(characterErrors('\x1c a  b\u0085', 'a  b')).toEqual({ edits: 0, characters: 4 });
    expect(characterErrors('a b', 'a  b')).toEqual({ edits: 1, characters: 4 });
    expect(characterErrors('👍', '👎')).toEqual({ edits: 1, characters: 1 });
    // \ufeff is no space for Python.
    expect(characterErrors('\ufeffa', 'a')).toEqual({ edits: 1, characters: 1 });
  });

  const path = fileURLToPath(new URL('../../../../shared/data/cer_cases.json', import.meta.url));
  it.skipIf(!existsSync(path))('equals jiwer on cer_cases.json', () => {
    const cases = JSON.parse(readFileSync(path, 'utf8'));
    let edits = 0;
    let characters = 0;
    for (const { name, pred, ref, edits: e, ref_chars } of cases.items) {
      const result = characterErrors(pred, ref);
      expect([name, result.edits, result.characters]).toEqual([name, e, ref_chars]);
      edits += result.edits;
      characters += result.characters;
    }
    expect(edits / characters).toBeCloseTo(cases.corpus.cer ?? 0.16550441655044165, 12);
  });
});
