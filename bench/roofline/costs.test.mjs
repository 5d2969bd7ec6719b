import { describe, expect, it } from 'vitest';
import { CONFIG_270M } from '../measure/model.mjs';
import {
  attentionPairs,
  bodyOps,
  DESIGNS,
  headChunks,
  headOps,
  NATIVE,
  parameters,
  stepFlops,
  stepOps,
} from './costs.mjs';

const total = (ops, field) => ops.reduce((sum, op) => sum + op.calls * op[field], 0);

describe('parameters', () => {
  it('are those of Gemma 3 270M', () => {
    // A layer: qkv 640 x 1536 + o 1024 x 640 + gate and up 640 x 4096 + down 2048 x 640 = 5,570,560.
    expect(parameters(CONFIG_270M)).toEqual({ linear: 100_270_080, norm: 55_936, embedding: 167_772_160 });
  });
});

describe('attentionPairs', () => {
  it.each([
    [[1], 0, 1],
    [[4], 0, 1 + 2 + 3 + 4],
    [[4], 2, 1 + 2 + 2 + 2],
    [[4, 3], 3, 1 + 2 + 3 + 3 + (1 + 2 + 3)],
    [[512], 512, (512 * 513) / 2],
    [[600], 512, (512 * 513) / 2 + 88 * 512],
    [[600], 0, (600 * 601) / 2],
  ])('%j window %i: %i', (lengths, window, pairs) => expect(attentionPairs(lengths, window)).toBe(pairs));
});

describe('stepFlops', () => {
  it('of one sequence of 512 tokens, by hand', () => {
    // Attention: 18 layers x 7 products x 2 x 131,328 pairs x 4 heads x 256.
    const linears = 6 * 100_270_080 * 512;
    const attention = 18 * 7 * 2 * 131_328 * 1024;
    const head = 6 * 262_144 * 640 * 511;
    expect(stepFlops(CONFIG_270M, [512], 511)).toEqual({ linears, attention, head, total: linears + attention + head });
  });

  it('sees the window in 15 of 18 layers', () => {
    // Beyond 512 tokens a query of a sliding layer sees 512 keys; of a full one all before it, 600 x 601 / 2 in all.
    const { attention } = stepFlops(CONFIG_270M, [600], 0);
    expect(attention).toBe(14 * 1024 * (15 * (131_328 + 88 * 512) + 3 * 180_300));
  });
});

describe('stepOps', () => {
  const pass = { lengths: Array(16).fill(512), supervised: 16 * 60 };

  it('needs the FLOPs that stepFlops counts, however the step is divided into passes', () => {
    const passes = [
      { lengths: [512, 100], supervised: 37 },
      { lengths: [300, 700], supervised: 900 },
    ];
    const needed = stepFlops(CONFIG_270M, [512, 100, 300, 700], 937).total;
    for (const design of Object.values(DESIGNS))
      expect(total(stepOps(CONFIG_270M, passes, design), 'flops')).toBeCloseTo(needed, -3);
  });

  it('agrees with native/bench on every op of a step of 16 x 512 tokens', () => {
    const budgets = NATIVE.ops;
    const budgetOf = ({ op, shape }) =>
      Object.entries(budgets).filter(
        ([key]) => key === `${op} ${shape.replace(/^8192x4x256/, '16x512x4x256')}`,
      )[0]?.[1];
    let compared = 0;
    for (const op of [
      ...bodyOps(CONFIG_270M, pass.lengths, DESIGNS.sm80),
      ...headOps(CONFIG_270M, pass, DESIGNS.sm80),
    ]) {
      const budget = budgetOf(op);
      expect(budget, `${op.op} ${op.shape}`).toBeDefined();
      expect(budget.completion, op.op).toBe(op.calls);
      expect(budget.flops, op.op).toBe(op.flops);
      if (op.op === 'embedding_backward') expect(op.bytes).toBeGreaterThanOrEqual(budget.bytes);
      else expect(op.bytes, `${op.op} ${op.shape}`).toBe(budget.bytes);
      compared++;
    }
    expect(compared).toBe(33);
    const full = stepOps(CONFIG_270M, [{ ...pass, supervised: 16 * 511 }], DESIGNS.sm80);
    expect(total(full, 'flops') / budgets['training_step full 16x512'].flops).toBeCloseTo(1, 3);
    expect(total(full, 'bytes') / budgets['training_step full 16x512'].bytes).toBeCloseTo(1, 3);
  });

  it('reads and writes the embedding gradient once a chunk of logits', () => {
    // 8,176 rows of a step of 16 x 512 tokens, cut as native/bench does: even chunks of what room for logits holds.
    expect(headChunks(CONFIG_270M, 16 * 511, DESIGNS.sm80)).toBe(
      NATIVE.ops['linear_cross_entropy 2044x262144x640'].full,
    );
    // 256 MB of bfloat16 logits are 512 rows of 262,144.
    expect(headChunks(CONFIG_270M, 512, DESIGNS.cpu)).toBe(1);
    expect(headChunks(CONFIG_270M, 553, DESIGNS.cpu)).toBe(2);
    expect(headChunks(CONFIG_270M, 2048, DESIGNS.sm75)).toBe(1);
    const bytes = (supervised) => total(headOps(CONFIG_270M, { lengths: [1024], supervised }, DESIGNS.cpu), 'bytes');
    // One row more, a chunk more: weight read twice in bfloat16, gradient read and written in float32.
    expect(bytes(513) - bytes(512)).toBeGreaterThan(12 * 167_772_160);
    expect(bytes(513) - bytes(512)).toBeLessThan(12 * 167_772_160 + 3e6);
  });

  it('has no head where nothing is supervised', () => {
    expect(headOps(CONFIG_270M, { lengths: [10], supervised: 0 }, DESIGNS.cpu)).toEqual([]);
  });
});
