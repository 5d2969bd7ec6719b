// A sweep as a Slurm array, of which some trials are thrown off their nodes: every trial ends with one result, and it is that of an undisturbed run, bit for bit.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { finetuneWords, start, writeRows } from './launchers.js';
import { Slurm, slurmIsMissing } from './slurm.js';

const missing = slurmIsMissing();
describe.skipIf(missing !== null)(`a sweep under Slurm${missing ? ` (${missing})` : ''}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'gemmatune-sweep-'));
  const rows = writeRows(join(folder, 'rows.jsonl'));
  const TRIALS = 6;
  const UPDATES = 240;
  const DISTURBED = [1, 4];
  let slurm: Slurm;
  beforeAll(async () => {
    slurm = await Slurm.start();
  });
  afterAll(async () => {
    await slurm?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const trial = (at: string, learningRate: string) =>
    finetuneWords(rows, at, 1, { updates: UPDATES, saveSteps: 40, learningRate, more: ['--save-total-limit', '2'] });
  const rateOf = (task: number) => `${1 + task}e-4`;
  const result = (at: string) => JSON.parse(readFileSync(join(at, 'result.json'), 'utf8'));

  it('gives each trial one result, whatever happened to it', async () => {
    const words = trial(join(folder, 'trial-$SLURM_ARRAY_TASK_ID'), `$((1 + SLURM_ARRAY_TASK_ID))e-4`);
    const id = await slurm.submit(`#!/bin/bash\n${words.join(' ')}\n`, [
      ...[`--array=0-${TRIALS - 1}`, '--requeue', '--open-mode=append', '--output=%a.txt', '--time=5'],
    ]);
    const at = (task: number) => join(folder, `trial-${task}`);
    for (const task of DISTURBED) {
      const begun = () => existsSync(at(task)) && readdirSync(at(task)).some((name) => /^checkpoint-\d+$/.test(name));
      await slurm.until(`trial ${task} has a checkpoint`, 60, begun);
      await slurm.run(['scontrol', 'requeue', `${id}_${task}`]);
    }
    const jobs = await slurm.ended(id, 200);
    expect(jobs.map(({ state }) => state)).toEqual(Array(TRIALS).fill('COMPLETED'));
    const again = jobs.filter(({ restarts }) => restarts > 0).map(({ task }) => Number(task));
    expect(again.sort()).toEqual(DISTURBED);
    const results = Array.from({ length: TRIALS }, (_, task) => result(at(task)));
    expect(new Set(results.map(({ trial: hash }) => hash)).size).toBe(TRIALS);
    for (const { status, global_step } of results)
      expect({ status, global_step }).toEqual({ status: 'completed', global_step: UPDATES });

    for (const task of DISTURBED) {
      const alone = join(folder, `alone-${task}`);
      const { status, stderr } = await start(trial(alone, rateOf(task)), {}, folder).ended;
      expect(status, stderr).toBe(0);
      const { trial: hash, weights_sha256 } = result(alone);
      expect(results[task]).toMatchObject({ trial: hash, weights_sha256 });
    }
    // The same call again: the old result, at once.
    const words2 = trial(at(0), rateOf(0));
    const { status, stdout } = await start(words2, {}, folder).ended;
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ already: true, weights_sha256: results[0].weights_sha256 });
  }, 300_000);
});
