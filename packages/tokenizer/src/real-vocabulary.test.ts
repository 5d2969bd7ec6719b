/** The real vocabularies against recorded ids of the Rust and SentencePiece tokenizers. */
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Tokenizer } from './tokenizer.js';

const data = resolve(import.meta.dirname, '../../../../shared/data');
const functionGemma = join(data, 'functiongemma/tokenizer.json.gz');
const gemma3 = join(data, 'gemma3/tokenizer.json.gz');

interface Vectors {
  cases: { text: string; ids: number[] }[];
}
const readVectors = async (path: string) => (JSON.parse(await readFile(join(data, path), 'utf8')) as Vectors).cases;

let cacheFolder: string;
beforeAll(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), 'gemmatune-tokenizer-'));
});
afterAll(() => rm(cacheFolder, { recursive: true }));

function expectVectors(tokenizer: Tokenizer, cases: Vectors['cases']) {
  for (const { text, ids } of cases) {
    expect([...tokenizer.encode(text, { addSpecialTokens: false })], JSON.stringify(text)).toEqual(ids);
    expect([...tokenizer.encode(text)]).toEqual([2, ...ids]);
    expect(tokenizer.decode(ids)).toBe(text.replaceAll('▁', ' '));
  }
}

describe.skipIf(!existsSync(functionGemma))('FunctionGemma vocabulary (shared/data/functiongemma)', () => {
  it('gives the recorded ids, compiled and from the cache', async () => {
    for (const _pass of ['compiled', 'cached']) {
      const tokenizer = await Tokenizer.load(functionGemma, { cacheFolder });
      expect(tokenizer.vocabSize).toBe(262_146);
      expectVectors(tokenizer, await readVectors('functiongemma/tokenizer_vectors.json'));
    }
  });

  it('gives the recorded ids of rendered templates', async () => {
    const tokenizer = await Tokenizer.load(functionGemma, { cacheFolder });
    expectVectors(tokenizer, await readVectors('functiongemma/template_cases.json'));
  });

  it('knows its named tokens', async () => {
    const tokenizer = await Tokenizer.load(functionGemma, { cacheFolder });
    expect(tokenizer.idOf('<start_function_response>')).toBe(50);
    expect(tokenizer.specialIds.has(50)).toBe(true);
    expect(tokenizer.specialIds.has(48)).toBe(false);
    expect(tokenizer.tokenOf(262_144)).toBe('<image_soft_token>');
    expect(tokenizer.idOf('developer')).toBe(55_060);
  });
});

describe.skipIf(!existsSync(gemma3))('Gemma 3 vocabulary (shared/data/gemma3)', () => {
  it('gives the recorded ids', async () => {
    const tokenizer = await Tokenizer.load(gemma3, { cacheFolder });
    const cases = await readVectors('gemma3/tokenizer_vectors_kitoken.json');
    expect(cases.length).toBeGreaterThan(100);
    expectVectors(tokenizer, cases);
  });
});
