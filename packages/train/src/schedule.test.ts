import { describe, expect, it } from 'vitest';
import { optionsForRows } from './by-rows.js';
import { resolveTrainOptions, type TrainOptions } from './config.js';
import { dueAfter, epochAt, learningRateAt, scheduleOf } from './schedule.js';

/** Nothing is left to the number of rows. */
const SAID = {
  learningRate: 2e-5,
  numTrainEpochs: 3,
  perDeviceTrainBatchSize: 8,
  lrSchedulerType: 'linear',
  warmupRatio: 0,
} satisfies Partial<TrainOptions>;
const resolved = (input: Partial<TrainOptions>) =>
  optionsForRows(resolveTrainOptions({ ...SAID, ...input }), 1).options;

function rates(input: Partial<TrainOptions>, rows: number, steps: readonly number[]): number[] {
  const options = resolved(input);
  const schedule = scheduleOf(rows, options);
  return steps.map((step) => learningRateAt(step, schedule, options));
}

/** Equal but for the last bit of a cosine. */
function expectClose(found: number[], expected: number[]): void {
  expect(found.length).toBe(expected.length);
  for (const [i, x] of expected.entries())
    expect(Math.abs(found[i]! - x), `[${i}] ${found[i]}`).toBeLessThanOrEqual(x * 1e-15);
}

describe('scheduleOf', () => {
  it('gives the tutorial its 61 updates, the last with one batch', () => {
    const options = resolved({
      perDeviceTrainBatchSize: 2,
      gradientAccumulationSteps: 8,
      numTrainEpochs: 1,
      warmupRatio: 0.03,
    });
    const schedule = scheduleOf(961, options);
    expect(schedule).toEqual({
      itemsPerBatch: 2,
      batchesPerUpdate: 8,
      batchesPerEpoch: 481,
      updatesPerEpoch: 61,
      maxSteps: 61,
      epochs: 1,
      warmupSteps: 2,
    });
    expect(epochAt(60, schedule)).toBe(480 / 481);
    expect(epochAt(61, schedule)).toBe(1);
  });

  it('rounds a part of an epoch up', () => {
    const options = resolved({
      perDeviceTrainBatchSize: 2,
      gradientAccumulationSteps: 3,
      numTrainEpochs: 1.5,
    });
    // 21 rows, 11 batches, 4 updates: ceil(1.5 x 4) = 6 updates in 2 epochs
    expect(scheduleOf(21, options)).toMatchObject({ batchesPerEpoch: 11, updatesPerEpoch: 4, maxSteps: 6, epochs: 2 });
  });

  it('lets maxSteps win over epochs', () => {
    const options = resolved({ maxSteps: 7, perDeviceTrainBatchSize: 4, warmupSteps: 3 });
    expect(scheduleOf(9, options)).toEqual({
      itemsPerBatch: options.perDeviceTrainBatchSize,
      batchesPerUpdate: options.gradientAccumulationSteps,
      batchesPerEpoch: 3,
      updatesPerEpoch: 3,
      maxSteps: 7,
      epochs: 3,
      warmupSteps: 3,
    });
    expect(epochAt(4, scheduleOf(9, options))).toBe(1 + 1 / 3);
  });

  it('takes warmupSteps below 1 as a share, and before warmupRatio', () => {
    const schedule = (input: Partial<TrainOptions>) => scheduleOf(1, resolved({ maxSteps: 61, ...input })).warmupSteps;
    expect(schedule({ warmupSteps: 0.03 })).toBe(2);
    expect(schedule({ warmupSteps: 10, warmupRatio: 0.5 })).toBe(10);
    expect(schedule({})).toBe(0);
  });

  it('has one update where all rows fit into half of one', () => {
    expect(scheduleOf(1, resolved({ gradientAccumulationSteps: 8, numTrainEpochs: 1 })).maxSteps).toBe(1);
  });
});

describe("learningRateAt with compat 'trl': the numbers of transformers/optimization.py 5.18", () => {
  const compat = 'trl';
  it('cosine, tutorial', () => {
    const input = { compat, learningRate: 5e-5, lrSchedulerType: 'cosine', maxSteps: 61, warmupRatio: 0.03 } as const;
    expectClose(
      rates(input, 961, [1, 2, 3, 4, 31, 60, 61]),
      [0, 2.5e-5, 5e-5, 4.996456739191905e-5, 2.6994652638827078e-5, 1.4162999474657268e-7, 3.543260808095139e-8],
    );
  });
  it('linear', () => {
    const input = { compat, learningRate: 2e-5, lrSchedulerType: 'linear', maxSteps: 10, warmupSteps: 3 } as const;
    expectClose(
      rates(input, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
      [
        0, 6.666666666666667e-6, 1.3333333333333333e-5, 2e-5, 1.7142857142857142e-5, 1.4285714285714287e-5,
        1.1428571428571429e-5, 8.571428571428571e-6, 5.7142857142857145e-6, 2.8571428571428573e-6,
      ],
    );
  });
  it('constant, with and without warm-up', () => {
    const input = { compat, learningRate: 1e-4, maxSteps: 6, warmupSteps: 4 } as const;
    const steps = [1, 2, 3, 4, 5, 6];
    expectClose(
      rates({ ...input, lrSchedulerType: 'constant_with_warmup' }, 1, steps),
      [0, 2.5e-5, 5e-5, 7.500000000000001e-5, 1e-4, 1e-4],
    );
    expectClose(rates({ ...input, lrSchedulerType: 'constant' }, 1, steps), [1e-4, 1e-4, 1e-4, 1e-4, 1e-4, 1e-4]);
  });
  it('cosine without warm-up, and warm-up longer than the run', () => {
    const input = { compat, lrSchedulerType: 'cosine' } as const;
    expectClose(
      rates({ ...input, learningRate: 5e-3, maxSteps: 7 }, 1, [1, 2, 3, 4, 5, 6, 7]),
      [
        0.005, 0.004752422169756048, 0.004058724504646834, 0.003056302334890786, 0.001943697665109214,
        0.0009412754953531664, 0.00024757783024395244,
      ],
    );
    expectClose(
      rates({ ...input, learningRate: 1e-3, maxSteps: 3, warmupSteps: 5 }, 1, [1, 2, 3]),
      [0, 0.0002, 0.0004],
    );
  });
});

describe('learningRateAt by default', () => {
  it('wastes no warm-up update, and after warm-up is the same', () => {
    const input = { learningRate: 2e-5, lrSchedulerType: 'linear', maxSteps: 10, warmupSteps: 3 } as const;
    const ours = rates(input, 1, [1, 2, 3, 4, 5, 10]);
    expectClose(
      ours,
      [6.666666666666667e-6, 1.3333333333333333e-5, 2e-5, 2e-5, 1.7142857142857142e-5, 2.8571428571428573e-6],
    );
    expect(ours.slice(3)).toEqual(rates({ ...input, compat: 'trl' }, 1, [4, 5, 10]));
  });

  it.each(['linear', 'cosine'] as const)('%s ends a warm-up that is the whole run at the top', (lrSchedulerType) => {
    const input = { learningRate: 2e-5, lrSchedulerType };
    expect(rates({ ...input, maxSteps: 1, warmupRatio: 0.1 }, 1, [1])).toEqual([2e-5]);
    expectClose(rates({ ...input, maxSteps: 4, warmupSteps: 4 }, 1, [1, 2, 3, 4]), [5e-6, 1e-5, 1.5e-5, 2e-5]);
  });
});

describe('dueAfter', () => {
  const schedule = {
    itemsPerBatch: 1,
    batchesPerUpdate: 1,
    batchesPerEpoch: 4,
    updatesPerEpoch: 4,
    maxSteps: 10,
    epochs: 3,
    warmupSteps: 0,
  };
  const steps = (input: Partial<TrainOptions>, what: 'log' | 'evaluate' | 'save') => {
    const options = resolved(input);
    return Array.from({ length: 11 }, (_, step) => step).filter((step) => dueAfter(step, schedule, options)[what]);
  };
  it('logs every few updates; the default also the last', () => {
    expect(steps({ loggingSteps: 4 }, 'log')).toEqual([4, 8, 10]);
    expect(steps({ loggingSteps: 4, compat: 'trl' }, 'log')).toEqual([4, 8]);
    expect(steps({ loggingSteps: 4, loggingFirstStep: true, compat: 'trl' }, 'log')).toEqual([1, 4, 8]);
    expect(steps({ loggingSteps: 0.25, compat: 'trl' }, 'log')).toEqual([3, 6, 9]);
  });
  it('evaluates and saves by steps and at the end, by epochs, or never', () => {
    expect(steps({ evalSteps: 3 }, 'evaluate')).toEqual([3, 6, 9, 10]);
    expect(steps({ evalStrategy: 'epoch' }, 'evaluate')).toEqual([4, 8, 10]);
    expect(steps({}, 'evaluate')).toEqual([]);
    expect(steps({ saveSteps: 5 }, 'save')).toEqual([5, 10]);
    expect(steps({ saveStrategy: 'no' }, 'save')).toEqual([]);
    expect(steps({ saveStrategy: 'best', evalSteps: 3 }, 'save')).toEqual([]);
  });
});
