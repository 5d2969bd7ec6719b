import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepare } from '@gemmatune/data';
import { afterAll, describe, expect, it } from 'vitest';
import { runWorker } from '../measure/child.mjs';
import { contextOf } from '../report/fixtures.mjs';
import { pipeline } from './pipeline.mjs';

const TINY = fileURLToPath(new URL('../../test/golden/tiny', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'gemmatune-bench-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('hermes-rows', () => {
  it('repeats rows with other words: all usable, few alike, the same every time', async () => {
    const [out, again] = [join(folder, 'rows.jsonl'), join(folder, 'again.jsonl')];
    const { different, bytes } = await runWorker('hermes-rows.mjs', { rows: 2500, out });
    await runWorker('hermes-rows.mjs', { rows: 2500, out: again });
    const text = readFileSync(out, 'utf8');
    expect(different).toBeLessThan(2500);
    expect(bytes).toBe(Buffer.byteLength(text));
    expect(readFileSync(again, 'utf8')).toBe(text);
    const { train } = await prepare(out);
    expect(train).toHaveLength(2500);
    expect(new Set(train.map(({ json }) => json)).size).toBeGreaterThan(2400);
  });
});

describe('pipeline', () => {
  it('measures every stage, start-up and loading, and judges the bars it can', { timeout: 120_000 }, async () => {
    /** @type {string[]} */
    const lines = [];
    const options = { rows: '40,80', dataset: '', tokenizer: '', model: TINY, runs: '1' };
    const { results, bars } = await pipeline.run(options, contextOf({ note: (line) => lines.push(line) }));
    const stages = ['prepare', 'tokenize', 'prepare+tokenize', 'encode for training'];
    expect(results.filter(({ rows }) => rows).map(({ what, rows }) => [what, rows])).toEqual(
      [40, 80].flatMap((rows) => stages.map((what) => [what, rows])),
    );
    for (const { seconds, peakBytes, rows } of results) {
      expect(seconds).toBeGreaterThan(0);
      if (rows) expect(peakBytes).toBeGreaterThan(2 ** 20);
    }
    expect(bars.map(({ what }) => what)).toEqual([
      'peak memory of prepare grows with rows to the power of',
      'peak memory of tokenize grows with rows to the power of',
      'gemmatune --help',
    ]);
    expect(lines.length).toBeGreaterThan(10);
  });
});
