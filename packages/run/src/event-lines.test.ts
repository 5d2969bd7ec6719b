import type { RowSettings } from '@gemmatune/train';
import { describe, expect, it } from 'vitest';
import { byRowsText, planText } from './event-lines.js';

describe('byRowsText', () => {
  const all: RowSettings = {
    learningRate: 1e-4,
    numTrainEpochs: 3,
    perDeviceTrainBatchSize: 8,
    lrSchedulerType: 'linear',
    warmupRatio: 0.07,
  };
  it.each([
    [
      all,
      {},
      '300 rows: learning rate 0.0001, 3 epochs, 8 rows an update, linear schedule, warm-up in 7 % of the updates; why: docs/settings.md',
    ],
    [{ numTrainEpochs: 1 }, {}, '300 rows: 1 epoch; why: docs/settings.md'],
    [
      { perDeviceTrainBatchSize: 8 },
      { itemsPerUpdate: 48 },
      '300 rows: 8 rows a micro-batch, 48 rows an update; why: docs/settings.md',
    ],
    [{ perDeviceTrainBatchSize: 8 }, { packed: true }, '300 rows: 8 packs an update; why: docs/settings.md'],
    [{}, {}, null],
  ])('of %j %j', (decided, more, text) => {
    expect(byRowsText({ rows: 300, decided, itemsPerUpdate: 8, packed: false, ...more })).toBe(text);
  });
});

describe('planText', () => {
  const plan = {
    tokensPerPass: 8192,
    recompute: 'none',
    passes: 1,
    tokens: 8192,
    bytes: 9.14e9,
    available: 14.66e9,
  } as const;
  it.each([
    [plan, '1 pass of up to 8,192 tokens an update, 9.1 of 14.7 GB; nothing recomputed'],
    [
      { ...plan, recompute: 'elementwise', passes: 3, tokens: 700 },
      'up to 3 passes of up to 700 tokens an update, 9.1 of 14.7 GB; norms, rope and GeGLU recomputed',
    ],
    [
      { ...plan, recompute: 'blocks', passes: 2 },
      'up to 2 passes of up to 8,192 tokens an update, 9.1 of 14.7 GB; whole blocks recomputed',
    ],
    [
      { ...plan, recompute: null, bytes: null, available: null, passes: 2 },
      'up to 2 passes of up to 8,192 tokens an update',
    ],
  ] as const)('of %j', (given, text) => {
    expect(planText(given)).toBe(text);
  });
});
