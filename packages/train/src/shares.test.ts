import { describe, expect, it } from 'vitest';
import { TrainingOrder } from './batches.js';
import { BigramModel, rowsOf } from './bigram-model.case.js';
import { optionsForRows } from './by-rows.js';
import { resolveTrainOptions, type TrainOptions } from './config.js';
import { scheduleOf } from './schedule.js';
import { dealByCost, ranksCountedByTrl, rowCost, topUp } from './shares.js';

/** A fixed sequence of numbers in [0, 1) without a pattern. */
function draws(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

describe('dealByCost', () => {
  it('gives the costliest to the least loaded rank, the lowest of equals', () => {
    expect(dealByCost([5, 5, 5, 5], 2)).toEqual([
      [0, 2],
      [1, 3],
    ]);
    // 9 to rank 0; 7 to 1; 6 to 1 (13); 5 to 0 (14); 3 to 1 (16); 1 to 0
    expect(dealByCost([1, 3, 5, 6, 7, 9], 2)).toEqual([
      [0, 2, 5],
      [1, 3, 4],
    ]);
    expect(dealByCost([4, 2], 4)).toEqual([[0], [1], [], []]);
    expect(dealByCost([], 2)).toEqual([[], []]);
  });

  it('deals every item once, in order, and within 4/3 of what is possible', () => {
    const draw = draws(1);
    for (let i = 0; i < 300; i++) {
      const ranks = 1 + Math.floor(draw() * 9);
      const costs = Array.from({ length: Math.floor(draw() * 60) }, () => Math.ceil(draw() ** 3 * 1000));
      const shares = dealByCost(costs, ranks);
      expect(shares.flat().sort((a, b) => a - b)).toEqual(costs.map((_, item) => item));
      for (const share of shares) expect(share).toEqual([...share].sort((a, b) => a - b));
      const loads = shares.map((share) => share.reduce((sum, item) => sum + costs[item]!, 0));
      const total = costs.reduce((a, b) => a + b, 0);
      // Graham's bound in what is known: the rank that has most got its last item when it had at most the mean of the rest.
      const most = Math.max(...loads);
      const last = Math.min(...shares[loads.indexOf(most)]!.map((item) => costs[item]!), Infinity);
      if (total > 0) expect(most).toBeLessThanOrEqual((total - last) / ranks + last);
    }
  });
});

describe('rowCost', () => {
  it('counts tokens through the body and targets through the embedding', () => {
    const parameters = [
      { name: 'model.embed_tokens.weight', shape: [100, 4], decay: true },
      { name: 'model.layers.0.mlp.up_proj.weight', shape: [8, 4], decay: true },
      { name: 'model.norm.weight', shape: [4], decay: false },
    ];
    const labels = Int32Array.of(-100, -100, 7, 8);
    expect(rowCost(parameters)({ inputIds: new Int32Array(4), labels })).toBe(4 * 36 + 2 * 400);
  });
});

/** shares[update][rank][micro-batch] = positions of rows, one epoch in the order 0, 1, 2, … */
function epoch(rows: number, ranks: number, given: Partial<TrainOptions>) {
  const { options } = optionsForRows(resolveTrainOptions({ numTrainEpochs: 1, ...given }), rows);
  const trainRows = rowsOf(
    Array.from({ length: rows }, (_, i) => 3 + ((i * 5) % 11)),
    7,
  );
  const items = trainRows.map((_, row) => [row]);
  const schedule = scheduleOf(rows, options, ranks);
  const { parameters } = new BigramModel(7);
  const order = new TrainingOrder(trainRows, items, options, schedule, { size: ranks, parameters });
  const updates = Array.from({ length: schedule.maxSteps }, (_, step) => order.update(step + 1));
  const position = new Map(trainRows.map((row, i) => [row, i]));
  return {
    schedule,
    updates,
    shares: updates.map(({ shares }) =>
      shares.map((share) => share.map(({ rows }) => rows.map((row) => position.get(row)!))),
    ),
  };
}

describe('the order of several ranks', () => {
  it('has the updates of one rank with so many times the accumulation, and the same counts', () => {
    for (const [rows, ranks, batch, accumulation] of [
      [23, 2, 2, 3],
      [23, 3, 2, 2],
      [5, 4, 1, 2],
      [40, 4, 3, 1],
    ] as const) {
      const given = { perDeviceTrainBatchSize: batch, gradientAccumulationSteps: accumulation };
      const many = epoch(rows, ranks, given);
      const one = epoch(rows, 1, { ...given, gradientAccumulationSteps: ranks * accumulation });
      expect(many.schedule).toEqual(one.schedule);
      const sorted = (share: number[][][][]) => share.map((update) => update.flat(2).sort((a, b) => a - b));
      expect(sorted(many.shares)).toEqual(sorted(one.shares));
      expect(many.updates.map(({ counts }) => counts)).toEqual(one.updates.map(({ counts }) => counts));
      for (const share of many.shares.flat()) {
        for (const [m, micro] of share.entries()) {
          expect(micro.length).toBeGreaterThan(0);
          if (m + 1 < share.length) expect(micro.length).toBe(batch);
        }
      }
    }
  });
});

describe("with compat 'trl'", () => {
  /** Indices of BatchSamplerShard, accelerate 1.15: [rows, batch size] and the batches of each rank. */
  it.each([
    [
      7,
      2,
      2,
      [
        [
          [0, 1],
          [4, 5],
        ],
        [
          [2, 3],
          [6, 0],
        ],
      ],
    ],
    [
      5,
      2,
      2,
      [
        [
          [0, 1],
          [4, 0],
        ],
        [
          [2, 3],
          [1, 2],
        ],
      ],
    ],
    [2, 3, 2, [[[0, 1, 0]], [[1, 0, 1]]]],
    [1, 2, 3, [[[0, 0]], [[0, 0]], [[0, 0]]]],
    [
      10,
      2,
      3,
      [
        [
          [0, 1],
          [6, 7],
        ],
        [
          [2, 3],
          [8, 9],
        ],
        [
          [4, 5],
          [0, 1],
        ],
      ],
    ],
    [
      8,
      2,
      2,
      [
        [
          [0, 1],
          [4, 5],
        ],
        [
          [2, 3],
          [6, 7],
        ],
      ],
    ],
  ])('%i rows in batches of %i on %i ranks are dealt as by accelerate', (rows, batch, ranks, expected) => {
    const order = Array.from({ length: rows }, (_, i) => i);
    const all = batch * ranks;
    const batches = Array.from({ length: Math.ceil(rows / all) }, (_, b) => order.slice(b * all, (b + 1) * all));
    topUp([batches], all);
    const dealt = Array.from({ length: ranks }, (_, rank) =>
      batches.map((items) => items.slice(rank * batch, (rank + 1) * batch)),
    );
    expect(dealt).toEqual(expected);
  });

  it('every rank has as many full micro-batches, and duplicates count', () => {
    const { shares, updates, schedule } = epoch(7, 2, {
      compat: 'trl',
      perDeviceTrainBatchSize: 2,
      gradientAccumulationSteps: 3,
    });
    expect(schedule).toMatchObject({ batchesPerEpoch: 2, updatesPerEpoch: 1 });
    expect(shares[0]!.map((share) => share.map(({ length }) => length))).toEqual([
      [2, 2],
      [2, 2],
    ]);
    expect(updates[0]!.counts.items).toBe(8);
    const [first] = shares[0]![0]![0]!;
    expect(shares[0]![1]![1]![1]).toBe(first);
  });

  it('ranks beyond the rows of the last batch are left out of metrics', () => {
    expect(ranksCountedByTrl(49, 8, 2)).toBe(1);
    expect(ranksCountedByTrl(50, 8, 2)).toBe(2);
    expect(ranksCountedByTrl(48, 8, 2)).toBe(2);
    expect(ranksCountedByTrl(50, 8, 4)).toBe(2);
  });
});
