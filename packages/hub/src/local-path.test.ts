import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveDataset } from './dataset.js';
import { COMMIT, type MockHub, mockHub } from './loopback.case.js';
import { resolveModel } from './resolve-model.js';

const before = process.cwd();
let root: string;
let hub: MockHub;
beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'local-')));
  process.chdir(root);
  hub = await mockHub({});
});
afterEach(async () => {
  process.chdir(before);
  await hub.close();
  await rm(root, { recursive: true });
});

const options = () => ({ endpoint: hub.url, cacheDir: join(root, '.cache'), token: false as const, env: {} });
const model = (spec: string, more = {}) => resolveModel(spec, { ...options(), ...more });
const dataset = (spec: string) => resolveDataset(spec, options());
async function put(...paths: string[]): Promise<void> {
  for (const path of paths) {
    await mkdir(join(root, path, '..'), { recursive: true });
    await writeFile(join(root, path), '{}');
  }
}

describe('what lies on this machine', () => {
  it('goes before what the Hub may have under that name', async () => {
    await put('org/name/config.json', 'org/name/train.jsonl', 'name/config.json', 'org/rows', 'org/link/config.json');
    await symlink('org/name', join(root, 'linked'));
    for (const spec of ['org/name', './org/name', join(root, 'org/name')])
      expect(await model(spec)).toBe(join(root, 'org/name'));
    expect(await model('name')).toBe(join(root, 'name'));
    expect(await model('linked')).toBe(join(root, 'linked'));
    expect(await dataset('org/name')).toEqual([join(root, 'org/name/train.jsonl')]);
    expect(await dataset('org/rows')).toEqual([join(root, 'org/rows')]);
    expect(hub.seen).toEqual([]);
  });

  it('is not gone past where it is of no use', async () => {
    await put('org/name/notes.txt', 'file');
    await symlink('loop', join(root, 'loop'));
    await expect(model('org/name')).rejects.toThrow(`${join(root, 'org/name')} has no config.json`);
    await expect(model('file')).rejects.toThrow("is a file: expected the model's folder");
    await expect(model('loop')).rejects.toThrow(`The model folder ${join(root, 'loop')} cannot be read: ELOOP`);
    await expect(dataset('org/name')).rejects.toThrow(
      `${join(root, 'org/name')} has no .parquet, .jsonl or .json data files (found notes.txt).`,
    );
    await expect(dataset('/dev/null')).rejects.toThrow('/dev/null is a pipe or device: expected rows in a file');
    expect(hub.seen).toEqual([]);
  });
});

describe('what does not', () => {
  it.each([
    ['./modle', 'model'],
    ['./Model', 'model'],
    ['runs/frist/model', 'runs/first'],
    ['rnus/first/model', 'runs'],
    ['runs/first/checkpont-10', 'runs/first/checkpoint-10'],
    ['runs/first/my model', undefined],
    ['../no-such-name-anywhere', undefined],
    ['~/model', undefined],
  ])('as the path %s: %s is offered', async (spec, near) => {
    await put('model/config.json', 'mdle', 'runs/first/checkpoint-10/config.json');
    const error = await model(spec).catch((caught) => caught);
    expect(error.code).toBe('ERR_GEMMATUNE_HUB_NOT_FOUND');
    expect(error.message).toContain(`There is no model folder ${join(root, spec)}: `);
    if (near === undefined) expect(error.message).toMatch(/ holds .*\.$/);
    else expect(error.message).toMatch(new RegExp(`: did you mean ${join(root, near)}\\?$`));
    expect(hub.seen).toEqual([]);
  });

  it('as a data file: what lies beside it is offered, or named', async () => {
    await put('data/train.jsonl', 'data/.hidden');
    await symlink('gone', join(root, 'data/rows.jsonl'));
    const place = join(root, 'data');
    await expect(dataset('data/tran.jsonl')).rejects.toThrow(`: did you mean ${join(place, 'train.jsonl')}?`);
    await expect(dataset('data/other.json')).rejects.toThrow(`: ${place} holds rows.jsonl, train.jsonl.`);
    await expect(dataset('data/rows.jsonl')).rejects.toThrow(`: ${place} holds train.jsonl.`);
    await mkdir(join(root, 'empty'));
    await expect(dataset('empty/rows.json')).rejects.toThrow(`: ${join(root, 'empty')} holds none.`);
    expect(hub.seen).toEqual([]);
  });

  it('is asked of the Hub by what may be an id, and the near name is offered after it', async () => {
    await put('my/model/config.json', 'rows/train');
    const near = `; or is ${join(root, 'my/model')} meant?`;
    await expect(model('my/modle')).rejects.toThrow(
      /^The model my\/modle was not found on 127.0.0.1.*HF_TOKEN; or is /,
    );
    await expect(model('my/modle')).rejects.toThrow(near);
    await expect(model('my/modle', { offline: true })).rejects.toThrow(near);
    await expect(dataset('rows/trian')).rejects.toThrow(`; or is ${join(root, 'rows/train')} meant?`);
    await expect(model('other/name')).rejects.toThrow(/set HF_TOKEN\.$/);
  });

  it.each(['https://huggingface.co/org/name', 'hf://datasets/org/name', 'kaggle:owner/name', ''])(
    'is no address either: %j',
    async (spec) => {
      const text = `${JSON.stringify(spec)} names no data file: expected a path on this machine, or organisation/name`;
      await expect(dataset(spec)).rejects.toThrow(text);
      if (!spec.startsWith('kaggle:')) await expect(model(spec)).rejects.toThrow('or kaggle:owner/model/framework');
      expect(hub.seen).toEqual([]);
    },
  );
});

it('a revision stands behind @, of data sets too', async () => {
  const data = await mockHub({ 'train.jsonl': Buffer.from('{}') }, { repoType: 'dataset' });
  const of = (spec: string) => resolveDataset(spec, { ...options(), endpoint: data.url });
  expect(await of('org/name@main')).toEqual([
    join(root, '.cache/datasets--org--name/snapshots', COMMIT, 'train.jsonl'),
  ]);
  await expect(of('org/name@v9@x')).rejects.toThrow('no branch, tag or commit "v9@x"');
  await data.close();
});
