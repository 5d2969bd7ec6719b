import type { EncodedRow } from '@gemmatune/data';
import { packBatch } from '@gemmatune/data';
import { describe, expect, it } from 'vitest';
import { BigramModel, rowsOf } from './bigram-model.case.js';
import type { TrainOptions } from './config.js';
import type { TrainEvent } from './events.js';
import type { LogRow } from './log.js';
import { Trainer, type TrainerInput } from './loop.js';

const V = 11;

/** Lengths of the rows of a TRL 1.13 run whose log is quoted below. */
const TRAIN_LENGTHS = [7, 9, 8, 11, 8, 5, 11, 12, 5, 13, 13, 12, 11, 10, 11, 14, 13, 13, 7, 5, 14];

async function run(model: BigramModel, input: TrainerInput, signal?: AbortSignal): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of new Trainer(model, input).train(signal ? { signal } : {})) events.push(event);
  return events;
}

const rowsLogged = (events: TrainEvent[]): LogRow[] =>
  events.flatMap((event) => (event.type === 'log' ? [event.row] : []));

function mean(values: number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

describe('the order of rows and the positions in the run', () => {
  const options = {
    perDeviceTrainBatchSize: 2,
    gradientAccumulationSteps: 4,
    numTrainEpochs: 2,
    learningRate: 5e-3,
    lrSchedulerType: 'cosine',
    warmupRatio: 0.3,
    loggingSteps: 1,
    compat: 'trl',
  } as const;

  it('are those TRL logged for rows of the same lengths', async () => {
    const events = await run(new BigramModel(V), { trainRows: rowsOf(TRAIN_LENGTHS, V), options });
    const log = rowsLogged(events);
    expect(log.map((row) => row.num_tokens)).toEqual([82, 163, 212, 303, 378, 424]);
    expect(log.map((row) => row.epoch)).toEqual([
      0.36363636363636365, 0.7272727272727273, 1, 1.3636363636363638, 1.7272727272727273, 2,
    ]);
    expect(log.map((row) => row.step)).toEqual([1, 2, 3, 4, 5, 6]);
    const rates = [0, 0.0025, 0.005, 0.004267766952966369, 0.0025, 0.0007322330470336313];
    for (const [i, row] of log.entries()) expect(row.learning_rate).toBeCloseTo(rates[i]!, 15);
    // That run: 14294592 = 6 x 498 padded tokens x 4784 parameters outside the embedding.
    const end = events.at(-1)!;
    expect(end.type === 'end' && end.row!.total_flos).toBe(6 * 498 * V);
  });

  it('follow dataSeed where it is given, else seed', async () => {
    const first = async (seeds: Partial<TrainOptions>) => {
      const model = new BigramModel(V);
      await run(model, { trainRows: rowsOf(TRAIN_LENGTHS, V), options: { ...options, maxSteps: 1, ...seeds } });
      return model.batches.map((batch) => [...batch.starts]);
    };
    expect(await first({ seed: 7 })).toEqual(await first({ dataSeed: 7 }));
    expect(await first({ seed: 7 })).not.toEqual(await first({}));
  });
});

describe('one update', () => {
  it('is that of one large batch, however it is split, also with a short last group', async () => {
    const trainRows = rowsOf([5, 9, 4, 7, 3], V);
    const whole = new BigramModel(V);
    const said = { maxSteps: 1, learningRate: 2e-5, weightDecay: 0.1 };
    await run(whole, { trainRows, options: { ...said, perDeviceTrainBatchSize: 5 } });
    const split = new BigramModel(V);
    // 5 rows in batches of 1 by 8: the group of the epoch's end has 5 micro-batches, not 8.
    await run(split, {
      trainRows,
      options: { ...said, perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 8 },
    });
    expect(split.batches.length).toBe(5);
    expect(split.updates[0]!.divisor).toBe(4 + 8 + 3 + 6 + 2);
    expect(whole.updates[0]!.divisor).toBe(23);
    for (const [i, weight] of whole.weights.entries()) expect(split.weights[i]).toBeCloseTo(weight, 9);
  });

  it('divides by target tokens, not by tokens or rows', async () => {
    const trainRows: EncodedRow[] = rowsOf([6, 4], V).map((row) => {
      row.labels.fill(-100, 0, 3);
      return row;
    });
    const model = new BigramModel(V);
    await run(model, { trainRows, options: { maxSteps: 1, perDeviceTrainBatchSize: 8 } });
    expect(model.updates[0]!.divisor).toBe(3 + 1);
  });

  it('passes the optimizer options on', async () => {
    const model = new BigramModel(V);
    const options = {
      maxSteps: 2,
      weightDecay: 0.2,
      maxGradNorm: 0.5,
      adamBeta1: 0.8,
      adamBeta2: 0.9,
      adamEpsilon: 1e-6,
    };
    await run(model, {
      trainRows: rowsOf([5], V),
      options: { ...options, lrSchedulerType: 'constant', learningRate: 0.1 },
    });
    expect(model.updates[1]).toEqual({
      learningRate: 0.1,
      step: 2,
      divisor: 4,
      maxGradNorm: 0.5,
      weightDecay: 0.2,
      beta1: 0.8,
      beta2: 0.9,
      epsilon: 1e-6,
      seed: 42,
    });
  });
});

describe('log rows', () => {
  const trainRows = rowsOf([12, 3, 9, 4, 8, 3], V);
  // Two micro-batches an update, one update in two logged.
  const base = {
    perDeviceTrainBatchSize: 1,
    gradientAccumulationSteps: 2,
    maxSteps: 4,
    loggingSteps: 2,
    learningRate: 0,
  };

  /** Each micro-batch's own metrics; learning rate 0 keeps the model as it is. */
  async function microBatches(options: Partial<TrainOptions>) {
    const model = new BigramModel(V);
    const log = rowsLogged(await run(model, { trainRows, options: { ...base, ...options } }));
    const fresh = new BigramModel(V);
    return { log, each: await Promise.all(model.batches.map((batch) => fresh.score(batch))) };
  }

  it("have TRL's keys in TRL's order", async () => {
    const { log } = await microBatches({});
    for (const row of log) {
      expect(Object.keys(row)).toEqual([
        'loss',
        'grad_norm',
        'learning_rate',
        'entropy',
        'num_tokens',
        'mean_token_accuracy',
        'epoch',
        'step',
      ]);
    }
  });

  it('average the losses of updates, each a mean over its tokens', async () => {
    const { log, each } = await microBatches({});
    const update = (i: number) => (each[i]!.lossSum + each[i + 1]!.lossSum) / (each[i]!.targets + each[i + 1]!.targets);
    expect(log[0]!.loss).toBeCloseTo((update(0) + update(2)) / 2, 12);
    expect(log[1]!.loss).toBeCloseTo((update(4) + update(6)) / 2, 12);
  });

  it('weight accuracy and entropy by tokens; with compat by micro-batches', async () => {
    const { log, each } = await microBatches({});
    const window = each.slice(0, 4);
    const sum = (of: (metrics: (typeof each)[0]) => number) => window.map(of).reduce((a, b) => a + b, 0);
    expect(log[0]!.mean_token_accuracy).toBeCloseTo(sum((m) => m.correct) / sum((m) => m.targets), 12);
    expect(log[0]!.entropy).toBeCloseTo(sum((m) => m.entropySum) / sum((m) => m.targets), 12);

    const trl = (await microBatches({ compat: 'trl' })).log[0]!;
    expect(trl.mean_token_accuracy).toBeCloseTo(mean(window.map((m) => m.correct / m.targets)), 12);
    expect(trl.entropy).toBeCloseTo(mean(window.map((m) => m.entropySum / m.targets)), 12);
    expect(Math.abs(trl.entropy! - log[0]!.entropy!)).toBeGreaterThan(1e-6);
  });

  it('log the gradient norm of the last update before clipping', async () => {
    const model = new BigramModel(V);
    const [row] = rowsLogged(await run(model, { trainRows, options: { ...base, maxSteps: 2, maxGradNorm: 1e-3 } }));
    expect(row!.grad_norm).toBeGreaterThan(0.01);
  });
});

describe('evaluation', () => {
  const trainRows = rowsOf([6, 5, 7], V);
  const evalRows = rowsOf([12, 3, 9, 4, 8, 3, 5], V);
  const base = { maxSteps: 2, evalSteps: 2, perDeviceTrainBatchSize: 8, perDeviceEvalBatchSize: 3, learningRate: 0 };

  async function evalRow(options: Partial<TrainOptions> = {}): Promise<LogRow> {
    const events = await run(new BigramModel(V), { trainRows, evalRows, options: { ...base, ...options } });
    return events.flatMap((event) => (event.type === 'evaluate' ? [event.row] : []))[0]!;
  }
  const batches = [evalRows.slice(0, 3), evalRows.slice(3, 6), evalRows.slice(6)];
  const scores = () => Promise.all(batches.map((rows) => new BigramModel(V).score(packBatch(rows))));

  it("has TRL's keys in TRL's order, and rates to 3 and runtime to 4 decimals", async () => {
    const row = await evalRow();
    expect(Object.keys(row)).toEqual([
      'eval_loss',
      'eval_runtime',
      'eval_samples_per_second',
      'eval_steps_per_second',
      'eval_entropy',
      'eval_num_tokens',
      'eval_mean_token_accuracy',
      'epoch',
      'step',
    ]);
    expect(String(row.eval_runtime)).toMatch(/^\d+(\.\d{1,4})?$/);
    expect(String(row.eval_samples_per_second)).toMatch(/^\d+(\.\d{1,3})?$/);
    expect(row.eval_num_tokens).toBe(2 * (6 + 5 + 7));
  });

  it('weights the loss by tokens; with compat by rows, and the rest by batches', async () => {
    const each = await scores();
    const targets = each.reduce((sum, m) => sum + m.targets, 0);
    const tokenMean = each.reduce((sum, m) => sum + m.lossSum, 0) / targets;
    const rowMean = each.reduce((sum, m, i) => sum + (batches[i]!.length * m.lossSum) / m.targets, 0) / evalRows.length;

    const ours = await evalRow();
    expect(ours.eval_loss).toBeCloseTo(tokenMean, 12);
    expect(ours.eval_mean_token_accuracy).toBeCloseTo(each.reduce((sum, m) => sum + m.correct, 0) / targets, 12);
    const trl = await evalRow({ compat: 'trl' });
    expect(trl.eval_loss).toBeCloseTo(rowMean, 12);
    expect(trl.eval_mean_token_accuracy).toBeCloseTo(mean(each.map((m) => m.correct / m.targets)), 12);
    expect(Math.abs(rowMean - tokenMean)).toBeGreaterThan(1e-6);
  });

  it("takes the caller's own metrics, which may decide what is best", async () => {
    const accuracies = [0.5, 0.25, 0.75];
    const events = await run(new BigramModel(V), {
      trainRows,
      evalRows,
      evalMetrics: async () => ({ tool_accuracy: accuracies.shift()! }),
      options: { maxSteps: 3, evalSteps: 1, metricForBestModel: 'tool_accuracy' },
    });
    const evaluations = events.filter((event) => event.type === 'evaluate');
    expect(evaluations.map((event) => [event.row.eval_tool_accuracy, event.best])).toEqual([
      [0.5, true],
      [0.25, false],
      [0.75, true],
    ]);
  });

  it('names the metrics there are where the deciding one is not among them', async () => {
    const input = { trainRows, evalRows, options: { ...base, metricForBestModel: 'tool_accuracy' } };
    await expect(run(new BigramModel(V), input)).rejects.toThrow(
      "`metricForBestModel` is 'tool_accuracy', but an evaluation has only eval_loss, eval_runtime,",
    );
  });

  it('can be run by itself', async () => {
    const row = await new Trainer(new BigramModel(V), { trainRows, evalRows }).evaluate();
    expect(row).toMatchObject({ epoch: 0, step: 0, eval_num_tokens: 0 });
    await expect(new Trainer(new BigramModel(V), { trainRows }).evaluate()).rejects.toThrow('evalRows is empty');
  });
});

describe('the end', () => {
  const trainRows = rowsOf([6, 5, 7], V);
  const keys = ['train_runtime', 'train_samples_per_second', 'train_steps_per_second', 'total_flos', 'train_loss'];

  it('has a summary row and is the last event', async () => {
    const options = { maxSteps: 3, loggingSteps: 1, perDeviceTrainBatchSize: 8 };
    const events = await run(new BigramModel(V), { trainRows, options });
    const end = events.at(-1)!;
    if (end.type !== 'end') throw new Error('no end event');
    expect(end).toMatchObject({ reason: 'completed', step: 3, folder: null });
    expect(Object.keys(end.row!)).toEqual([...keys, 'epoch', 'step']);
    expect(end.row!.train_loss).toBeCloseTo(mean(rowsLogged(events).map((row) => row.loss!)), 12);
    // 6 x 3 updates of 3 rows padded to 7 tokens x the parameters outside the embedding (the bias)
    expect(end.row!.total_flos).toBe(6 * (3 * 3 * 7) * V);
  });

  it("carries what was not logged, with compat 'trl'; by default the last update is logged", async () => {
    const options = { maxSteps: 3, loggingSteps: 2 };
    const trl = await run(new BigramModel(V), { trainRows, options: { ...options, compat: 'trl' } });
    expect(rowsLogged(trl).map((row) => row.step)).toEqual([2]);
    const end = trl.at(-1)!;
    expect(end.type === 'end' && Object.keys(end.row!)).toEqual([
      ...keys,
      'entropy',
      'num_tokens',
      'mean_token_accuracy',
      'epoch',
      'step',
    ]);
    expect(rowsLogged(await run(new BigramModel(V), { trainRows, options })).map((row) => row.step)).toEqual([2, 3]);
  });
});

describe('events', () => {
  it('tell each micro-batch', async () => {
    const events = await run(new BigramModel(V), {
      trainRows: rowsOf([6, 5, 7], V),
      options: { maxSteps: 3, perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 2, seed: 1 },
    });
    expect(events[0]).toMatchObject({
      type: 'start',
      maxSteps: 3,
      updatesPerEpoch: 2,
      batchesPerEpoch: 3,
      trainRows: 3,
      resumedFrom: null,
    });
    const progress = events.filter((event) => event.type === 'progress');
    expect(progress.map(({ step, microStep, microSteps }) => [step, microStep, microSteps])).toEqual([
      [1, 1, 2],
      [1, 2, 2],
      [2, 1, 1],
      [3, 1, 2],
      [3, 2, 2],
    ]);
    expect(progress.map(({ epoch }) => epoch)).toEqual([1 / 3, 2 / 3, 1, 1 + 1 / 3, 1 + 2 / 3]);
    expect(progress[2]!.tokens).toBe(18);
    expect(progress.every(({ tokensPerSecond }) => tokensPerSecond > 0)).toBe(true);
  });

  it('count the rows that teach nothing', async () => {
    const trainRows = rowsOf([6, 5, 7], V);
    trainRows[1]!.labels.fill(-100, 1); // label 0 alone is never a target
    const events = await run(new BigramModel(V), { trainRows, options: { maxSteps: 3, perDeviceTrainBatchSize: 1 } });
    const warnings = events.filter((event) => event.type === 'warning');
    expect(warnings.map(({ code }) => code)).toEqual(['rows-without-targets', 'step-without-targets']);
    expect(warnings[0]!.message).toBe('1 of 3 rows have no target token and teach nothing.');
    expect(rowsLogged(events).at(-1)!.loss).toBeGreaterThan(0);
  });
});

describe('gradients that are not finite', () => {
  const trainRows = rowsOf([6, 5, 7], V);

  it('leave the weights as they were, are told, and do not count as an AdamW step', async () => {
    const model = new BigramModel(V);
    model.poison = (update) => (update === 2 ? Number.NaN : 1);
    const events = await run(model, { trainRows, options: { maxSteps: 4 } });
    const warnings = events.filter((event) => event.type === 'warning');
    expect(warnings.map(({ code, step }) => [code, step])).toEqual([['non-finite', 2]]);
    expect(model.updates.map(({ step }) => step)).toEqual([1, 2, 2, 3]);
    expect(model.weights.every(Number.isFinite)).toBe(true);
    expect(events.at(-1)).toMatchObject({ type: 'end', reason: 'completed', step: 4 });
  });

  it('end the run after some in a row', async () => {
    const model = new BigramModel(V);
    model.poison = (update) => (update >= 2 ? Number.NaN : 1);
    const events: TrainEvent[] = [];
    const training = (async () => {
      for await (const event of new Trainer(model, {
        trainRows,
        options: { maxSteps: 9, nonFinitePatience: 2, learningRate: 2e-5 },
      }).train()) {
        events.push(event);
      }
    })();
    await expect(training).rejects.toMatchObject({
      code: 'ERR_GEMMATUNE_DIVERGED',
      message:
        'Training diverged: the last 2 updates, up to 3 of 9, had gradients that are not finite; start again with a `learningRate` below 0.00002.',
    });
    expect(events.at(-1)).toEqual({ type: 'end', reason: 'diverged', step: 3, row: null, folder: null });
  });
});

describe('packing', () => {
  it('fills sequences of maxLength, each row on its own', async () => {
    const model = new BigramModel(V);
    const options = { packing: true, maxLength: 10, perDeviceTrainBatchSize: 1, numTrainEpochs: 1 };
    const trainer = new Trainer(model, { trainRows: rowsOf([6, 5, 4, 5, 10], V), options });
    expect(trainer.schedule.batchesPerEpoch).toBe(3);
    for await (const _ of trainer.train());
    expect(model.batches.map((batch) => batch.tokens.length)).toEqual([10, 10, 10]);
    expect(model.batches.map((batch) => batch.starts.length - 1).sort()).toEqual([1, 2, 2]);
  });
});

describe('bad input', () => {
  const model = () => new BigramModel(V);
  const good = rowsOf([5], V);
  it.each([
    [{ trainRows: [] }, 'trainRows is empty; expected at least one row.'],
    [
      { trainRows: [...good, { inputIds: new Int32Array(7), labels: new Int32Array(5) }] },
      'trainRows[1] has 7 inputIds and 5 labels; expected as many of both.',
    ],
    [
      { trainRows: [{ inputIds: new Int32Array(0), labels: new Int32Array(0) }] },
      'trainRows[0] has no tokens; expected at least one.',
    ],
    [
      { trainRows: [{ inputIds: [1, 2], labels: [1, 2] } as unknown as EncodedRow] },
      'trainRows[0] has no inputIds and labels as Int32Array; encode the rows first.',
    ],
    [
      { trainRows: [{ inputIds: new Int32Array(3), labels: Int32Array.of(0, -100, -100) }] },
      'None of the 1 rows of trainRows has a target token (a label that is not -100); check the loss mask.',
    ],
    [{ trainRows: good, options: { evalSteps: 1 } }, 'evalRows is empty; expected at least one row.'],
    [{ trainRows: good, options: { maxStep: 1 } as object }, "Unknown option 'maxStep'; did you mean 'maxSteps'?"],
  ])('%#: is refused in one sentence', (input, message) => {
    expect(() => new Trainer(model(), input)).toThrow(
      expect.objectContaining({ message, code: 'ERR_GEMMATUNE_ARGUMENT' }),
    );
  });

  it('a Trainer trains once', async () => {
    const trainer = new Trainer(model(), { trainRows: good, options: { maxSteps: 1 } });
    for await (const _ of trainer.train());
    await expect(trainer.train().next()).rejects.toThrow('A Trainer trains once');
  });
});
