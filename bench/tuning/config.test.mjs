import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandOf, configOf, writeConfig } from './config.mjs';

const run = { device: 'cpu', sequences: 16, cores: 8 };
/** @type {import('./axes.mjs').Setting} */
const setting = {
  dtype: 'float32',
  threads: 4,
  kernels: 'automatic',
  batch: 4,
  tokensPerPass: 2048,
  recompute: 'elementwise',
};
const config = {
  device: 'cpu',
  dtype: 'float32',
  threads: 4,
  perDeviceTrainBatchSize: 4,
  gradientAccumulationSteps: 4,
  tokensPerPass: 2048,
  recompute: 'elementwise',
};

/** @type {string} */
let folder;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gemmatune-tuned-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('configOf', () => {
  it('has the names of finetune, and nothing that it does by itself', () => {
    expect(configOf(setting, run)).toEqual(config);
    expect(configOf({ ...setting, threads: 8, tokensPerPass: null }, run)).toEqual({
      device: 'cpu',
      dtype: 'float32',
      perDeviceTrainBatchSize: 4,
      gradientAccumulationSteps: 4,
      recompute: 'elementwise',
    });
    // There the trainer picks what fits; 'none' would forbid it to recompute on longer rows.
    const gpu = configOf({ ...setting, threads: 0, recompute: 'none' }, { ...run, device: 'cuda:0' });
    expect(gpu).not.toHaveProperty('recompute');
    expect(gpu).not.toHaveProperty('threads');
  });

  it('is taken by gemmatune finetune as it is', async () => {
    const at = (/** @type {string[]} */ ...parts) => join(folder, ...parts);
    const golden = new URL('../../test/golden/tiny/', import.meta.url);
    await mkdir(at('model'));
    for (const name of ['config.json', 'model.safetensors'])
      await cp(fileURLToPath(new URL(name, golden)), at('model', name));
    const row = { input_ids: [2, 10, 11, 12, 10, 11, 12] };
    await writeFile(at('rows.jsonl'), `${JSON.stringify(row)}\n`.repeat(16));
    await writeConfig(at('tuned.json'), configOf(setting, run));
    const program = fileURLToPath(new URL('../../packages/cli/bin/gemmatune.mjs', import.meta.url));
    const words = ['finetune', '--config', at('tuned.json'), '--model', at('model'), '--train', at('rows.jsonl')];
    const { stderr } = await promisify(execFile)(process.execPath, [
      ...[program, ...words, '--output-dir', at('out'), '--max-steps', '1'],
    ]);
    expect(stderr).toContain('1 pass of up to 112 tokens an update; norms, rope and GeGLU recomputed.');
  });
});

it('writeConfig replaces an older file, whole', async () => {
  const path = join(folder, 'new', 'tuned.json');
  await writeConfig(path, { a: 1 });
  await writeConfig(path, config);
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(config);
  expect(await readdir(join(folder, 'new'))).toEqual(['tuned.json']);
});

it('commandOf puts the environment in front', () => {
  expect(commandOf('tuned.json', { GEMMATUNE_AMX: '0' })).toBe(
    'GEMMATUNE_AMX=0 npx gemmatune finetune --config tuned.json --model MODEL --train ROWS --output-dir DIR',
  );
});
