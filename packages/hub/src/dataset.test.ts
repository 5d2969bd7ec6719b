import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pullDataset, resolveDataset, splitFiles } from './dataset.js';
import { COMMIT, mockHub } from './loopback.case.js';
import { resolveModel } from './resolve-model.js';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'dataset-'));
});
afterEach(() => rm(root, { recursive: true }));

describe('splitFiles', () => {
  const choose = (names: string[], split?: string, config?: string) => splitFiles(names, 'org/name', { split, config });

  it('finds the split by its word in the path', () => {
    const names = [
      'README.md',
      'data/test-00000-of-00001.parquet',
      'data/train-00001-of-00002.parquet',
      'data/train-00000-of-00002.parquet',
    ];
    expect(choose(names)).toEqual(['data/train-00000-of-00002.parquet', 'data/train-00001-of-00002.parquet']);
    expect(choose(names, 'test')).toEqual(['data/test-00000-of-00001.parquet']);
    expect(choose(['valid.jsonl', 'train.jsonl'], 'validation')).toEqual(['valid.jsonl']);
    expect(choose(['default/train/0000.parquet', 'default/test/0000.parquet'])).toEqual(['default/train/0000.parquet']);
    expect(choose(['a_train.json', 'mytraining_x.json', 'extra.jsonl/none.txt'])).toEqual(['a_train.json']);
  });

  it('takes all files as train where no name tells a split, and prefers Parquet', () => {
    expect(choose(['rows.jsonl', 'more.jsonl', 'dataset_infos.json', 'notes.csv'])).toEqual([
      'more.jsonl',
      'rows.jsonl',
    ]);
    expect(choose(['x.json', 'x.parquet'])).toEqual(['x.parquet']);
  });

  it('says what is there when the split is not', () => {
    expect(() => choose(['data/train-0.parquet'], 'test')).toThrow(
      'org/name has no split "test": its data files are data/train-0.parquet.',
    );
    expect(() => choose(['data/train-0.parquet'], 'constructor')).toThrow('has no split "constructor"');
    expect(() => choose(['rows.csv', 'README.md'])).toThrow(
      'has no .parquet, .jsonl or .json data files (found rows.csv, README.md)',
    );
    expect(() => choose(['a/train.jsonl', 'b/train.jsonl'])).toThrow(
      'in 2 folders (a, b): choose one with the config option',
    );
    expect(choose(['a/train.jsonl', 'b/train.jsonl'], 'train', 'b')).toEqual(['b/train.jsonl']);
  });
});

describe('data sets and models by any name', () => {
  it('pulls the files of one split only', async () => {
    const files = {
      'README.md': Buffer.from('# card'),
      'data/train-00000-of-00001.parquet': Buffer.alloc(5000, 1),
      'data/test-00000-of-00001.parquet': Buffer.alloc(5000, 2),
    };
    const hub = await mockHub(files, { repoType: 'dataset' });
    const options = { endpoint: hub.url, cacheDir: root, token: false as const, env: {} };
    const path = join(root, 'datasets--org--name/snapshots', COMMIT, 'data/train-00000-of-00001.parquet');
    expect(await pullDataset('org/name', options)).toEqual([path]);
    expect(hub.storageSeen.length).toBe(1);
    await expect(pullDataset('org/name', { ...options, split: 'dev' })).rejects.toThrow('org/name has no split "dev"');
    await hub.close();
    expect(await resolveDataset('org/name', { ...options, offline: true })).toEqual([path]);
  });

  it('takes a file and a folder', async () => {
    await mkdir(join(root, 'set/data'), { recursive: true });
    await writeFile(join(root, 'set/data/train.jsonl'), '');
    const file = join(root, 'set/data/train.jsonl');
    expect(await resolveDataset(file)).toEqual([file]);
    expect(await resolveDataset(join(root, 'set'))).toEqual([file]);
  });

  it('takes a model folder, and refuses what is none', async () => {
    await writeFile(join(root, 'file'), '');
    await expect(resolveModel(root)).rejects.toThrow(`${root} has no config.json`);
    await expect(resolveModel(join(root, 'file'))).rejects.toThrow('is a file: expected the model');
    await expect(resolveModel(join(root, 'none'))).rejects.toThrow('There is no model folder');
    await writeFile(join(root, 'config.json'), '{}');
    expect(await resolveModel(root)).toBe(root);
  });

  it('pulls a model without the formats it does not read', async () => {
    const hub = await mockHub({
      'config.json': Buffer.from('{}'),
      'model.safetensors': Buffer.alloc(5000, 1),
      'model.gguf': Buffer.alloc(5000, 2),
      'onnx/config.json': Buffer.from('{ }'),
    });
    const seen: string[] = [];
    const folder = await resolveModel('org/name@main', {
      endpoint: hub.url,
      cacheDir: root,
      token: false,
      env: {},
      onProgress: ({ file }) => seen.push(file),
    });
    await hub.close();
    expect(folder).toBe(join(root, 'models--org--name/snapshots', COMMIT));
    expect([...new Set(seen)].sort()).toEqual(['config.json', 'model.safetensors']);
  });
});
