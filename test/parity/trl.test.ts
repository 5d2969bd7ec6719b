// The trainer against TRL's SFTTrainer: the same rows, order, updates and log_history, in compat mode.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Model } from '@gemmatune/engine';
import { type LogRow, resolveTrainOptions, Trainer } from '@gemmatune/train';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goldenPath, loadTrlRun, type TrlRunName } from '../golden/load.js';
import { encoded, expectRow } from './rows.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gemmatune-trl-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const RUNS: TrlRunName[] = [
  'tutorial',
  'nll',
  'completion',
  'linear-decay',
  'constant',
  'constant-warmup',
  'text',
  'prompt-completion',
];

describe.each(RUNS)('TRL run %s', (name) => {
  it('gives the same log_history: keys, their order, and values to 4 digits', async () => {
    const golden = loadTrlRun(name);
    // Rows are given as TRL prepared them; what decides that is tested with packages/data.
    const { loss_type, max_length: _length, completion_only_loss: _loss, ...settings } = golden.settings;
    const outputDir = join(folder, name);
    const options = resolveTrainOptions({ ...settings, compat: 'trl', output_dir: outputDir });
    await using model = await Model.load(goldenPath('tiny'), { dtype: 'float32', trainable: true });
    const trainer = new Trainer(model, {
      trainRows: encoded(golden.prepared.train),
      evalRows: encoded(golden.prepared.eval),
      options,
    });
    const rows: LogRow[] = [];
    for await (const event of trainer.train()) {
      if (event.type === 'log' || event.type === 'evaluate') rows.push(event.row);
      if (event.type === 'end') rows.push(event.row!);
    }
    expect(rows.length).toBe(golden.log_history.length);
    for (const [i, want] of golden.log_history.entries())
      expectRow(rows[i]!, want, `row ${i}`, loss_type === 'chunked_nll');

    const state = JSON.parse(await readFile(join(outputDir, 'trainer_state.json'), 'utf8'));
    expect(Object.keys(state)).toEqual(Object.keys(golden.trainer_state));
    for (const key of [
      'epoch',
      'eval_steps',
      'global_step',
      'logging_steps',
      'max_steps',
      'num_train_epochs',
      'best_global_step',
    ])
      expect(state[key], key).toEqual(golden.trainer_state[key]);
    if (golden.trainer_state.best_metric !== null)
      expect(state.best_metric / (golden.trainer_state['best_metric'] as number)).toBeCloseTo(1, 4);
  });
});
