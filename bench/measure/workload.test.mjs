import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CONFIG_270M } from './model.mjs';
import { readRows, rowsFile, workloadLengths, workloadRows, writeRows } from './workload.mjs';

const folder = await mkdtemp(join(tmpdir(), 'gemmatune-workload-'));
afterAll(() => rm(folder, { recursive: true }));

describe('workloadRows', () => {
  it('has the lengths of workload.json, and ids of the vocabulary', async () => {
    const lengths = await workloadLengths();
    const rows = await workloadRows({ loss: 'completion', vocabSize: 300 });
    expect(rows.map(({ inputIds }) => inputIds.length)).toEqual(lengths.map(({ tokens }) => tokens));
    for (const [i, { inputIds, labels }] of rows.entries()) {
      expect(inputIds[0]).toBe(2);
      expect(Math.min(...inputIds.subarray(1))).toBeGreaterThanOrEqual(4);
      expect(Math.max(...inputIds)).toBeLessThan(300);
      const start = inputIds.length - lengths[i].answer;
      expect(labels.subarray(0, start).every((label) => label === -100)).toBe(true);
      expect(labels.subarray(start)).toEqual(inputIds.subarray(start));
    }
  });

  it('differs between losses in labels alone, and is the same every time', async () => {
    const full = await workloadRows({ loss: 'full', vocabSize: 1000 });
    const completion = await workloadRows({ loss: 'completion', vocabSize: 1000 });
    expect(full.map(({ inputIds }) => inputIds)).toEqual(completion.map(({ inputIds }) => inputIds));
    expect(full.every(({ inputIds, labels }) => labels.join() === inputIds.join())).toBe(true);
    expect(await workloadRows({ loss: 'full', vocabSize: 1000 })).toEqual(full);
  });

  it('fits a small model, with something to learn in every row', async () => {
    const rows = await workloadRows({ loss: 'completion', vocabSize: 1000, maxTokens: 20 });
    expect(Math.max(...rows.map(({ inputIds }) => inputIds.length))).toBe(20);
    expect(rows.every(({ labels }) => labels[0] === -100 && labels.at(-1) !== -100)).toBe(true);
  });
});

describe('files of rows', () => {
  it('come back as they were', async () => {
    const rows = (await workloadRows({ loss: 'completion', vocabSize: 1000 })).slice(0, 3);
    await writeRows(join(folder, 'rows.jsonl'), rows);
    expect(await readRows(join(folder, 'rows.jsonl'))).toEqual(rows);
  });

  it('are refused where labels do not match, with the line', async () => {
    const path = join(folder, 'odd.jsonl');
    await writeFile(path, '{"input_ids":[1],"labels":[1]}\n{"input_ids":[1,2],"labels":[1]}\n');
    await expect(readRows(path)).rejects.toThrow('odd.jsonl:2: 2 input_ids but 1 labels');
  });

  it('need a tokenizer with a data set', () =>
    expect(rowsFile({ dataset: 'x.jsonl' }, { loss: 'full', config: CONFIG_270M })).rejects.toThrow(
      '--dataset was given alone',
    ));
});
