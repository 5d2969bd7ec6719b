import { existsSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BigramModel, rowsOf } from './bigram-model.case.js';
import { BY_ROWS } from './by-rows.js';
import { occupants, prepareOutput } from './checkpoint.js';
import type { TrainOptions } from './config.js';
import type { EndEvent, TrainEvent } from './events.js';
import type { LogRow } from './log.js';
import { Trainer } from './loop.js';

const V = 7;
const trainRows = rowsOf([5, 9, 4, 7, 3, 6, 8], V);
const evalRows = rowsOf([6, 4, 9], V);

/** 7 rows: 4 micro-batches and 2 updates an epoch, 6 updates; windows, evaluations and checkpoints out of step with each other. */
const OPTIONS = {
  numTrainEpochs: 3,
  perDeviceTrainBatchSize: 2,
  gradientAccumulationSteps: 3,
  learningRate: 0.05,
  lrSchedulerType: 'cosine',
  warmupRatio: 0.3,
  weightDecay: 0.1,
  loggingSteps: 4,
  evalSteps: 3,
  perDeviceEvalBatchSize: 1,
  saveSteps: 2,
} satisfies Partial<TrainOptions>;

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'gemmatune-train-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

interface Ran {
  model: BigramModel;
  events: TrainEvent[];
  end: EndEvent;
}

/** Trains a fresh model; aborts when the event number `abortAt` (counted from 1) has been heard. */
async function run(
  options: Partial<TrainOptions>,
  abortAt = Infinity,
  prepare: (model: BigramModel) => void = () => {},
): Promise<Ran> {
  const model = new BigramModel(V);
  prepare(model);
  const abort = new AbortController();
  const events: TrainEvent[] = [];
  for await (const event of new Trainer(model, { trainRows, evalRows, options: { ...OPTIONS, ...options } }).train(
    abort,
  )) {
    events.push(event);
    if (events.length === abortAt) abort.abort();
  }
  return { model, events, end: events.at(-1) as EndEvent };
}

async function trainerState(folder: string): Promise<{ log_history: LogRow[]; [key: string]: unknown }> {
  return JSON.parse(await readFile(join(folder, 'trainer_state.json'), 'utf8'));
}

const withoutTimes = (rows: LogRow[]) =>
  rows.map((row) => Object.fromEntries(Object.entries(row).filter(([key]) => !/runtime|per_second/.test(key))));

describe('abort and resume', () => {
  it('gives the bits and the log of an uninterrupted run, wherever the abort came', async () => {
    const whole = await run({ outputDir: join(root, 'whole') });
    const log = withoutTimes((await trainerState(join(root, 'whole'))).log_history);
    expect(whole.end.reason).toBe('completed');
    expect(log.length).toBeGreaterThan(4);

    for (let abortAt = 1; abortAt < whole.events.length - 1; abortAt++) {
      const outputDir = join(root, String(abortAt));
      const first = await run({ outputDir }, abortAt);
      expect(first.end, `abort after event ${abortAt}`).toMatchObject({ reason: 'aborted', row: null });
      expect(
        first.model.gradient.every((g) => g === 0),
        'gradients of an update under way',
      ).toBe(true);
      const later = first.events.slice(abortAt).map((event) => event.type);
      expect(later, `what follows an abort after event ${abortAt}`).not.toContain('progress');
      expect(later).not.toContain('evaluating');
      const second = await run({ outputDir, resume: true });
      expect(second.end, `resume after event ${abortAt}`).toMatchObject({ reason: 'completed', step: 6 });
      expect(second.model.weights, `weights after event ${abortAt}`).toEqual(whole.model.weights);
      expect(withoutTimes((await trainerState(outputDir)).log_history), `log after event ${abortAt}`).toEqual(log);
      expect(withoutTimes((await trainerState(join(outputDir, 'checkpoint-6'))).log_history)).toEqual(log.slice(0, -1));
      expect(await readFile(join(outputDir, 'model.safetensors'))).toEqual(
        await readFile(join(root, 'whole', 'model.safetensors')),
      );
    }
  });

  it('ends after the running micro-batch, and repeats the update that was under way', async () => {
    const outputDir = join(root, 'run');
    // start, then micro-batches 1 to 3 of update 1, then micro-batch 1 of update 2 (of 1)
    const { events, model } = await run(
      { outputDir, gradientAccumulationSteps: 4, evalStrategy: 'no', maxSteps: 4 },
      1 + 4 + 2,
    );
    expect(model.batches.length).toBe(6);
    expect(model.updates.length).toBe(1);
    expect(events.slice(-2)).toMatchObject([
      { type: 'save', step: 1, folder: join(outputDir, 'checkpoint-1') },
      { type: 'end', reason: 'aborted', step: 1, folder: join(outputDir, 'checkpoint-1') },
    ]);
    const resumed = await run({
      outputDir,
      gradientAccumulationSteps: 4,
      evalStrategy: 'no',
      maxSteps: 4,
      resume: true,
    });
    expect(resumed.events[0]).toMatchObject({ type: 'start', step: 1, resumedFrom: join(outputDir, 'checkpoint-1') });
    expect(resumed.model.batches.slice(0, 2)).toEqual(model.batches.slice(4));
  });

  it('with a signal that is aborted from the start trains nothing', async () => {
    const model = new BigramModel(V);
    const events: TrainEvent[] = [];
    for await (const event of new Trainer(model, { trainRows }).train({ signal: AbortSignal.abort() }))
      events.push(event);
    expect(events.map((event) => event.type)).toEqual(['start', 'end']);
    expect(model.batches).toEqual([]);
  });

  it('an abort from a timer is heard', async () => {
    const options = { maxSteps: 1_000_000, loggingSteps: 1_000_000 };
    let end: TrainEvent | undefined;
    const trainer = new Trainer(new BigramModel(V), { trainRows, options });
    for await (const event of trainer.train({ signal: AbortSignal.timeout(50) })) end = event;
    expect(end).toMatchObject({ type: 'end', reason: 'aborted' });
  });

  it('counts tokens and losses over the whole run; compat counts anew, as TRL does', async () => {
    const whole = await run({ outputDir: join(root, 'whole') });
    const after = async (compat: Partial<TrainOptions>) => {
      const outputDir = join(root, `cut-${Object.keys(compat).length}`);
      await run({ outputDir, ...compat }, 8);
      const { end, events } = await run({ outputDir, resume: true, ...compat });
      const tokens = events.flatMap((event) => (event.type === 'log' ? [event.row.num_tokens!] : [])).at(-1);
      return { trainLoss: end.row!.train_loss!, tokens };
    };
    const total = 3 * (5 + 9 + 4 + 7 + 3 + 6 + 8);
    expect(await after({})).toEqual({ trainLoss: whole.end.row!.train_loss, tokens: total });
    const trl = await after({ compat: 'trl' });
    expect(trl.tokens).toBeLessThan(total);
    expect(trl.trainLoss).toBeLessThan(whole.end.row!.train_loss! * 0.9);
  });

  it('goes on with what the number of rows decided', async () => {
    const open = { learningRate: null, lrSchedulerType: null, warmupRatio: null };
    const whole = await run({ ...open, outputDir: join(root, 'whole') });
    const outputDir = join(root, 'cut');
    const cut = await run({ ...open, outputDir }, 12);
    expect(cut.end.reason).toBe('aborted');
    const resumed = await run({ ...open, outputDir, resume: true });
    expect(resumed.events[0]).toMatchObject({ type: 'start', step: cut.end.step });
    expect(resumed.model.weights).toEqual(whole.model.weights);
    await rm(join(outputDir, `checkpoint-${whole.end.step}`), { recursive: true });
    await expect(run({ ...open, learningRate: 0.5, outputDir, resume: true })).rejects.toThrow(
      `learningRate was ${BY_ROWS[0]!.learningRate}, and now it is 0.5`,
    );
  });

  it('resumes from a folder that is named, and after the end has only the end to do', async () => {
    const outputDir = join(root, 'run');
    const whole = await run({ outputDir });
    const resumed = await run({ outputDir: join(root, 'other'), resume: join(outputDir, 'checkpoint-2') });
    expect(resumed.events[0]).toMatchObject({ step: 2 });
    expect(resumed.model.weights).toEqual(whole.model.weights);
    await expect(run({ outputDir: join(root, 'other'), resume: join(outputDir, 'checkpoint-2') })).rejects.toThrow(
      `The output folder ${root}/other already holds checkpoint-4;`,
    );
    const again = await run({ outputDir, resume: true });
    expect(again.events.map((event) => event.type)).toEqual(['start', 'save', 'end']);
    expect(again.model.weights).toEqual(whole.model.weights);
  });

  it('starts from the beginning, and says so, where there is nothing to resume', async () => {
    const { events, end } = await run({ outputDir: join(root, 'run'), resume: true });
    expect(events[1]).toMatchObject({ type: 'warning', code: 'no-checkpoint' });
    expect(end.reason).toBe('completed');
  });

  it('passes over a checkpoint that is not complete', async () => {
    const outputDir = join(root, 'run');
    await run({ outputDir });
    await truncate(join(outputDir, 'checkpoint-6', 'master.safetensors'), 100);
    await rm(join(outputDir, 'checkpoint-4', 'resume.json'));
    await expect(run({ outputDir, resume: join(outputDir, 'checkpoint-4') })).rejects.toThrow('there is no such file');
    const { events } = await run({ outputDir, resume: true });
    expect(events[0]).toMatchObject({ type: 'start', step: 2 });
    const bytes = 8 * (V * V + V);
    expect(events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))).toEqual([
      `Checkpoint ${outputDir}/checkpoint-6 is not complete: master.safetensors has 100 bytes instead of ${bytes}. An earlier one is looked for.`,
      `${outputDir}/checkpoint-4/resume.json cannot be resumed from: there is no such file. An earlier one is looked for.`,
    ]);
  });

  it('clears away what a killed process left half done', async () => {
    const outputDir = join(root, 'run');
    await run({ outputDir, maxSteps: 2 });
    await cp(join(outputDir, 'checkpoint-2'), join(outputDir, '.checkpoint-4.writing'), { recursive: true });
    await run({ outputDir, maxSteps: 2, resume: true });
    expect(existsSync(join(outputDir, '.checkpoint-4.writing'))).toBe(false);
  });
});

describe('a checkpoint of another run is refused, naming what differs', () => {
  it.each([
    [{ learningRate: 0.04 }, 'learningRate was 0.05, and now it is 0.04'],
    [{ lrSchedulerType: 'linear' }, "lrSchedulerType was 'cosine', and now it is 'linear'"],
    [{ numTrainEpochs: 4 }, 'maxSteps was 6, and now it is 8'],
    [{ warmupRatio: 0 }, 'warmupSteps was 2, and now it is 0'],
    [{ seed: 1 }, 'dataSeed was 42, and now it is 1'],
    [{ packing: true, maxSteps: 6 }, 'packing was false, and now it is true'],
    [{ compat: 'trl' }, "compat was null, and now it is 'trl'"],
  ] satisfies [Partial<TrainOptions>, string][])('%j', async (options, difference) => {
    const outputDir = join(root, 'run');
    await run({ outputDir }, 6);
    await expect(run({ outputDir, resume: true, ...options })).rejects.toMatchObject({
      code: 'ERR_GEMMATUNE_RESUME',
      message: `Checkpoint ${outputDir}/checkpoint-2 cannot be continued: ${difference}.`,
    });
  });

  it('other rows, fewer rows', async () => {
    const outputDir = join(root, 'run');
    await run({ outputDir }, 6);
    const resume = (rows: typeof trainRows) =>
      new Trainer(new BigramModel(V), { trainRows: rows, evalRows, options: { ...OPTIONS, outputDir, resume: true } })
        .train()
        .next();
    const changed = rowsOf([5, 9, 4, 7, 3, 6, 8], V);
    changed[3]!.labels[2] = -100;
    await expect(resume(changed)).rejects.toThrow(
      'cannot be continued: its 7 training rows had other tokens or labels than these.',
    );
    await expect(resume(trainRows.slice(1))).rejects.toThrow('it was trained on 7 rows, and now there are 6.');
  });

  it('settings that do not change the numbers may change', async () => {
    const outputDir = join(root, 'run');
    await run({ outputDir }, 6);
    const { end } = await run({
      outputDir,
      resume: true,
      saveSteps: 1,
      gradientCheckpointing: true,
      nonFinitePatience: 9,
    });
    expect(end.reason).toBe('completed');
  });

  it('a resume.json of another version, or that is no JSON', async () => {
    const outputDir = join(root, 'run');
    await run({ outputDir }, 6);
    const resume = join(outputDir, 'checkpoint-2');
    await writeFile(join(resume, 'resume.json'), '{"version": 7}');
    await expect(run({ outputDir, resume })).rejects.toThrow('its resume.json has version 7; expected 1.');
    await writeFile(join(resume, 'resume.json'), '{"version"');
    await expect(run({ outputDir, resume })).rejects.toMatchObject({ code: 'ERR_GEMMATUNE_RESUME' });
  });
});

describe('the output folder', () => {
  it('holds the model, its companions and trainer_state.json at the end', async () => {
    const outputDir = join(root, 'run');
    const tokenizer = join(root, 'tokenizer.json');
    await writeFile(tokenizer, '{}');
    const options = { ...OPTIONS, outputDir };
    for await (const _ of new Trainer(new BigramModel(V), {
      trainRows,
      evalRows,
      options,
      companions: [tokenizer],
    }).train());
    const model = ['config.json', 'model.safetensors', 'tokenizer.json', 'trainer_state.json'];
    expect((await readdir(outputDir)).sort()).toEqual(['checkpoint-2', 'checkpoint-4', 'checkpoint-6', ...model]);
    expect((await readdir(join(outputDir, 'checkpoint-4'))).sort()).toEqual(
      [...model, 'exp_avg.safetensors', 'exp_avg_sq.safetensors', 'master.safetensors', 'resume.json'].sort(),
    );
    const { log_history } = await trainerState(outputDir);
    expect(log_history.map((row) => [row.step, Object.keys(row).find((key) => key.endsWith('loss'))])).toEqual([
      [3, 'eval_loss'],
      [4, 'loss'],
      [6, 'loss'],
      [6, 'eval_loss'],
      [6, 'train_loss'],
    ]);
  });

  it('is left alone where it already holds a model', async () => {
    const outputDir = join(root, 'run');
    const before = await run({ outputDir, maxSteps: 2 });
    await expect(run({ outputDir, maxSteps: 3 })).rejects.toMatchObject({
      code: 'ERR_GEMMATUNE_ARGUMENT',
      message: `The output folder ${outputDir} already holds checkpoint-2; choose another folder, or set \`overwrite\` to replace it or \`resume\` to continue.`,
    });
    expect(
      new Float64Array((await readFile(join(outputDir, 'model.safetensors'))).buffer.slice(0)).length,
    ).toBeGreaterThan(0);
    const after = await run({ outputDir, maxSteps: 3, saveSteps: 3, overwrite: true });
    expect(after.model.weights).not.toEqual(before.model.weights);
    expect((await readdir(outputDir)).filter((name) => name.startsWith('checkpoint'))).toEqual(['checkpoint-3']);
  });

  it('that cannot be is refused before any training', async () => {
    await writeFile(join(root, 'file'), '');
    const model = new BigramModel(V);
    const training = new Trainer(model, { trainRows, options: { outputDir: join(root, 'file', 'run') } }).train();
    await expect(training.next()).rejects.toMatchObject({
      code: 'ERR_GEMMATUNE_FILE',
      message: `The output folder ${root}/file/run cannot be written to: a file is in the way where a folder is expected.`,
    });
    expect(model.batches).toEqual([]);
  });

  it.skipIf(!existsSync('/proc/self'))(
    'on a file system that takes no folders is refused, not waited for',
    async () => {
      await expect(prepareOutput('/proc/gemmatune/out')).rejects.toThrow(
        'The output folder /proc/gemmatune/out cannot be written to: /proc takes no new folder.',
      );
    },
  );

  it('is made with all folders above it, and may be there', async () => {
    const deep = join(root, 'a/b/c');
    for (let i = 0; i < 2; i++) await prepareOutput(deep);
    expect(existsSync(deep)).toBe(true);
    await expect(occupants(deep)).resolves.toEqual([]);
    await expect(occupants(join(root, 'none'))).resolves.toEqual([]);
  });

  it('on a full disk keeps the earlier checkpoints and leaves no half one', async () => {
    const outputDir = join(root, 'run');
    const full = run({ outputDir }, Infinity, (model) => {
      model.beforeSave = (folder) => {
        if (folder.includes('checkpoint-4')) throw Object.assign(new Error('write failed'), { code: 'ENOSPC' });
      };
    });
    await expect(full).rejects.toMatchObject({
      code: 'ERR_GEMMATUNE_FILE',
      message:
        `Checkpoint 4 could not be written to ${outputDir}/checkpoint-4: no space is left on the disk; ` +
        `earlier checkpoints are untouched, so put that right and continue from ${outputDir}/checkpoint-2 with resume.`,
    });
    expect(await readdir(outputDir)).toEqual(['checkpoint-2']);
    const whole = await run({ outputDir: join(root, 'whole') });
    expect((await run({ outputDir, resume: true })).model.weights).toEqual(whole.model.weights);
  });
});

describe('which checkpoints stay', () => {
  const checkpoints = async (outputDir: string) =>
    (await readdir(outputDir)).filter((name) => name.startsWith('checkpoint')).sort();

  it('the newest saveTotalLimit', async () => {
    const outputDir = join(root, 'run');
    await run({ outputDir, saveSteps: 1, saveTotalLimit: 2 });
    expect(await checkpoints(outputDir)).toEqual(['checkpoint-5', 'checkpoint-6']);
  });

  /** Evaluates every update; the caller's metric is best after update 2. */
  async function bestAtTwo(options: Partial<TrainOptions>) {
    const outputDir = join(root, 'run');
    const model = new BigramModel(V);
    const scores = [1, 5, 3, 2, 4, 0];
    const weights: Float64Array[] = [];
    const trainer = new Trainer(model, {
      trainRows,
      evalRows,
      evalMetrics: async () => {
        weights.push(model.weights.slice());
        return { score: scores.shift()! };
      },
      options: { ...OPTIONS, outputDir, evalSteps: 1, metricForBestModel: 'score', ...options },
    });
    for await (const _ of trainer.train());
    return { outputDir, model, weights };
  }

  it('and always the best, whose weights loadBestModelAtEnd brings back', async () => {
    const { outputDir, model, weights } = await bestAtTwo({
      loadBestModelAtEnd: true,
      saveSteps: 3,
      saveTotalLimit: 1,
    });
    expect(await checkpoints(outputDir)).toEqual(['checkpoint-2', 'checkpoint-6']);
    expect(model.weights).toEqual(weights[1]);
    expect(await readFile(join(outputDir, 'model.safetensors'))).toEqual(Buffer.from(weights[1]!.buffer));
    expect(await trainerState(outputDir)).toMatchObject({
      best_metric: 5,
      best_global_step: 2,
      best_model_checkpoint: join(outputDir, 'checkpoint-2'),
    });
  });

  it("with saveStrategy 'best' only new bests", async () => {
    const { outputDir, weights, model } = await bestAtTwo({ saveStrategy: 'best' });
    expect(await checkpoints(outputDir)).toEqual(['checkpoint-1', 'checkpoint-2']);
    expect(model.weights).toEqual(weights[5]);
  });

  it("with compat 'trl' a best model between two saves is lost, as there", async () => {
    const { outputDir, model, weights } = await bestAtTwo({ loadBestModelAtEnd: true, saveSteps: 3, compat: 'trl' });
    expect(await checkpoints(outputDir)).toEqual(['checkpoint-3', 'checkpoint-6']);
    expect(model.weights).toEqual(weights[5]);
  });

  it('also when the run was aborted in between', async () => {
    const outputDir = join(root, 'run');
    const options = { outputDir, loadBestModelAtEnd: true, evalSteps: 2, saveSteps: 2, saveTotalLimit: 1 };
    const whole = await run({ ...options, outputDir: join(root, 'whole') });
    await run(options, 14);
    const resumed = await run({ ...options, resume: true });
    expect(resumed.model.weights).toEqual(whole.model.weights);
    const { best_metric, best_global_step } = await trainerState(join(root, 'whole'));
    expect(await trainerState(outputDir)).toMatchObject({ best_metric, best_global_step });
  });
});
