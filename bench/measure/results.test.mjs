import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readResults } from './read-results.mjs';
import { resultFile, writeResult } from './results.mjs';

const folder = await mkdtemp(join(tmpdir(), 'gemmatune-results-'));
afterAll(() => rm(folder, { recursive: true }));
const machine = { id: 'some-cpu-2c', cpu: 'some CPU', cores: 2, gpus: [] };
const made = (more) =>
  resultFile({ suite: 'train', short: false, machine, settings: {}, results: [], bars: [], ...more });

describe('writeResult', () => {
  it('names files by day and suite; a second of the day replaces the first', async () => {
    const first = made({ results: [{ tokensPerSecond: 1 }] });
    const path = await writeResult(first, folder);
    expect(path).toBe(join(folder, `${first.date.slice(0, 10)}-train.json`));
    await writeResult(made({ results: [{ tokensPerSecond: 2 }] }), folder);
    expect(JSON.parse(await readFile(path, 'utf8')).results).toEqual([{ tokensPerSecond: 2 }]);
    const short = await writeResult(made({ short: true }), folder);
    expect(short).toMatch(/-train-short\.json$/);
    expect(await readdir(folder)).toHaveLength(2);
  });

  it('writes a line for each record', async () => {
    const bars = [{ what: 'speed', bar: 2, value: 3, unit: 'x', met: true }];
    const result = made({ suite: 'lines', settings: { a: 1 }, results: [{ x: 1 }, { x: [2, { y: 3 }] }], bars });
    const text = await readFile(await writeResult(result, folder), 'utf8');
    expect(JSON.parse(text)).toEqual(result);
    expect(text.split('\n').slice(-10)).toEqual([
      ' "settings": {"a":1},',
      ' "results": [',
      '  {"x":1},',
      '  {"x":[2,{"y":3}]}',
      ' ],',
      ' "bars": [',
      '  {"what":"speed","bar":2,"value":3,"unit":"x","met":true}',
      ' ]',
      '}',
      '',
    ]);
  });

  it('writes what the report reads', async () => {
    const { results, skipped } = await readResults(folder);
    expect(skipped).toEqual([]);
    expect(results.map(({ suite, short }) => [suite, short])).toContainEqual(['train', true]);
  });
});
