import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EncodedRow } from '@gemmatune/data';
import type { PassMemory } from '@gemmatune/engine';
import { describe, expect, it } from 'vitest';
import type { MicroBatchRows } from './batches.js';
import { BigramModel, rowsOf } from './bigram-model.case.js';
import { resolveTrainOptions, type TrainOptions } from './config.js';
import type { TrainEvent } from './events.js';
import type { LogRow } from './log.js';
import { Trainer } from './loop.js';
import { passesOf, planPasses } from './plan.js';

/** Bytes a token of FunctionGemma 270M in bfloat16, and of the head: its logits, and 7,692 a target. */
const TOKEN = { none: 562_857, elementwise: 406_188, blocks: 91_960 };
const LOGITS = 1_073_741_824;
const TARGET = 7_692;

/** What a device with so much free memory answers. */
const device =
  (available: number | null) =>
  (tokens: number, targets: number): PassMemory => {
    const of = (bytes: number) => bytes * tokens + TARGET * targets + LOGITS;
    return {
      bytes: { none: of(TOKEN.none), elementwise: of(TOKEN.elementwise), blocks: of(TOKEN.blocks) },
      available,
    };
  };

/** A row of so many tokens; the last `targets` of them are learnt. */
function row(tokens: number, targets = tokens - 1): EncodedRow {
  const inputIds = new Int32Array(tokens);
  return { inputIds, labels: new Int32Array(tokens).fill(-100, 0, tokens - targets) };
}
const microBatch = (...rows: EncodedRow[]): MicroBatchRows => ({ rows, items: rows.length });
const lengths = (rows: readonly EncodedRow[]) => rows.map(({ inputIds }) => inputIds.length);

/** Two updates: 2,000 + 1,400 and 2,900 + 1,000 tokens; the longest row has 1,500. */
const UPDATES = [
  [microBatch(row(1200), row(800, 100)), microBatch(row(900), row(500))],
  [microBatch(row(1500), row(1400)), microBatch(row(600), row(400))],
];
const options = (given: Partial<TrainOptions> = {}) => resolveTrainOptions(given);
const plan = (available: number | null, given: Partial<TrainOptions> = {}, before: number | null = null) =>
  planPasses(UPDATES, device(available), options(given), before);

/** Free bytes with which a pass takes exactly the 95 % that it may: half a byte more, as 0.95 is no binary fraction. */
const exactly = (tokens: number, mode: keyof typeof TOKEN, targets = Math.min(tokens, 3896)) =>
  (device(null)(tokens, targets).bytes[mode] + 0.5) / 0.95;

describe('passesOf', () => {
  const update = UPDATES[1]!;

  it('are the micro-batches, where nothing was planned', () => {
    const passes = passesOf(update, null, null);
    expect(passes.map(({ rows }) => lengths(rows))).toEqual([
      [1500, 1400],
      [600, 400],
    ]);
    expect(passes.map(({ completed }) => completed)).toEqual([[update[0]], [update[1]]]);
  });

  it.each([
    [3900, [[1500, 1400, 600, 400]], [2]],
    [3899, [[1500, 1400, 600], [400]], [1, 1]],
    [2000, [[1500], [1400, 600], [400]], [0, 1, 1]],
    [1500, [[1500], [1400], [600, 400]], [0, 1, 1]],
  ])('take rows in order, up to %d tokens', (tokensPerPass, rows, completed) => {
    const passes = passesOf(update, tokensPerPass, null);
    expect(passes.map((pass) => lengths(pass.rows))).toEqual(rows);
    expect(passes.map((pass) => pass.completed.length)).toEqual(completed);
    expect(passes.flatMap((pass) => pass.completed)).toEqual(update);
  });

  it("never hold rows of two micro-batches by TRL's rules", () => {
    const passes = passesOf(update, 3900, 'trl');
    expect(passes.map(({ rows }) => lengths(rows))).toEqual([
      [1500, 1400],
      [600, 400],
    ]);
    expect(passesOf(update, 1500, 'trl').map(({ rows }) => lengths(rows))).toEqual([[1500], [1400], [600, 400]]);
  });
});

describe('planPasses', () => {
  it('leaves micro-batches alone where memory is not limited', () => {
    expect(plan(null)).toBeNull();
    expect(plan(null, { gradientCheckpointing: true })).toBeNull();
  });

  it('divides them as tokensPerPass says, there too', () => {
    expect(plan(null, { tokensPerPass: 2000 })).toEqual({
      tokensPerPass: 2000,
      recompute: null,
      passes: 3,
      tokens: 2000,
      bytes: null,
      available: null,
    });
  });

  it('takes a whole update at once where the largest fits with everything kept', () => {
    const available = exactly(3900, 'none');
    expect(plan(available)).toEqual({
      tokensPerPass: 3900,
      recompute: 'none',
      passes: 1,
      tokens: 3900,
      bytes: TOKEN.none * 3900 + TARGET * 3896 + LOGITS,
      available,
    });
  });

  it('else the largest passes that fit with everything kept', () => {
    expect(plan(exactly(3900, 'none') - 1)).toMatchObject({ tokensPerPass: 3899, recompute: 'none', passes: 2 });
    // No update has a pass of exactly so many tokens: the largest holds 1200 + 800.
    expect(plan(exactly(2050, 'none'))).toMatchObject({ tokensPerPass: 2050, passes: 3, tokens: 2000 });
    expect(plan(exactly(1500, 'none'))).toMatchObject({ tokensPerPass: 1500, recompute: 'none', passes: 3 });
  });

  it('else recomputes first what is nearly free, then whole blocks, until the longest row fits', () => {
    const elementwise = exactly(1500, 'none') - 1;
    const most = Math.floor((0.95 * elementwise - LOGITS) / (TOKEN.elementwise + TARGET));
    expect(plan(elementwise)).toMatchObject({ tokensPerPass: most, recompute: 'elementwise', passes: 3 });
    expect(most).toBe(2067); // 570,549 x 1,500 / 413,880
    expect(plan(exactly(1500, 'elementwise') - 1)).toMatchObject({ tokensPerPass: 3900, recompute: 'blocks' });
    expect(plan(exactly(1500, 'blocks'))).toMatchObject({ tokensPerPass: 1500, recompute: 'blocks' });
  });

  it('says what the longest row takes, what there is and what would fit, where it does not fit', () => {
    const refusal = () => plan(exactly(1500, 'blocks') - 1);
    expect(refusal).toThrow(
      expect.objectContaining({
        code: 'ERR_GEMMATUNE_MEMORY',
        message:
          'The longest row, 1,500 tokens, takes 1.9 GB with everything kept for the backward pass, 1.7 GB with norms, rope and GeGLU recomputed, ' +
          '1.2 GB with whole blocks recomputed (`gradientCheckpointing`); the device has 1.3 GB for it, of which 5 % stay free: ' +
          'rows of up to 1,499 tokens would fit with whole blocks recomputed, so lower `maxLength`.',
      }),
    );
    expect(() => plan(1e6)).toThrow('not a single token would fit, so free memory on the device or use another one.');
  });

  it('recomputes what it is told to', () => {
    expect(plan(1e12, { gradientCheckpointing: true })).toMatchObject({ recompute: 'blocks', passes: 1 });
    expect(plan(1e12, { recompute: 'elementwise' })).toMatchObject({ recompute: 'elementwise', passes: 1 });
    expect(plan(exactly(1500, 'none'), { recompute: 'none' })).toMatchObject({ recompute: 'none', passes: 3 });
    expect(plan(null, { recompute: 'blocks', tokensPerPass: 2000 })).toMatchObject({
      recompute: 'blocks',
      bytes: TOKEN.blocks * 2000 + TARGET * 1998 + LOGITS,
      available: null,
    });
  });

  it('and where that does not fit, says what would', () => {
    expect(() => plan(exactly(1500, 'none') - 1, { recompute: 'none' })).toThrow(
      /^The longest row, .* of which 5 % stay free: `recompute` is 'none', and 'elementwise' would fit\.$/,
    );
    expect(() => plan(exactly(2500, 'elementwise') - 1, { tokensPerPass: 2500, recompute: 'elementwise' })).toThrow(
      "`recompute` is 'elementwise', and 'blocks' would fit.",
    );
    expect(() => plan(exactly(1500, 'blocks') - 1, { recompute: 'none' })).toThrow(
      'rows of up to 1,499 tokens would fit with whole blocks recomputed, so lower `maxLength`.',
    );
  });

  it('takes tokensPerPass as given, and recomputes what that needs', () => {
    const wide = { tokensPerPass: 2500 };
    expect(plan(exactly(2500, 'none'), wide)).toMatchObject({ ...wide, recompute: 'none', passes: 2, tokens: 2400 });
    expect(plan(exactly(2500, 'none') - 1, wide)).toMatchObject({ ...wide, recompute: 'elementwise' });
    expect(plan(exactly(2500, 'elementwise') - 1, wide)).toMatchObject({ ...wide, recompute: 'blocks' });
    expect(() => plan(exactly(2500, 'blocks') - 1, wide)).toThrow(
      /^A pass of 2,500 tokens \(`tokensPerPass`\) takes 2.5 GB .*: passes of up to 2,499 tokens would fit with whole blocks recomputed\.$/,
    );
    // More than any update has: what counts is the largest update.
    expect(plan(exactly(3900, 'none'), { tokensPerPass: 1e9 })).toMatchObject({ recompute: 'none', tokens: 3900 });
  });

  it('refuses tokensPerPass below the longest row', () => {
    for (const available of [null, 1e12])
      expect(() => plan(available, { tokensPerPass: 1499 })).toThrow(
        '`tokensPerPass` is 1499, but the longest row has 1500 tokens and cannot be divided; expected at least 1500, or shorter rows (`maxLength`).',
      );
  });

  it("keeps a checkpoint's passes while they fit, and prefers what the caller says", () => {
    expect(plan(1e12, {}, 2000)).toMatchObject({ tokensPerPass: 2000, recompute: 'none', passes: 3 });
    expect(plan(exactly(2000, 'none') - 1, {}, 2000)).toMatchObject({ tokensPerPass: 2000, recompute: 'elementwise' });
    expect(plan(exactly(2000, 'blocks') - 1, {}, 2000)).toMatchObject({ tokensPerPass: 1999, recompute: 'blocks' });
    expect(plan(1e12, { tokensPerPass: 3000 }, 2000)).toMatchObject({ tokensPerPass: 3000 });
    expect(plan(null, {}, 2000)).toBeNull();
  });

  it("plans for micro-batches, not updates, by TRL's rules", () => {
    expect(plan(1e12, { compat: 'trl' })).toMatchObject({ tokensPerPass: 2900, passes: 2, tokens: 2900 });
  });
});

describe('training by a plan', () => {
  const V = 11;
  const trainRows = rowsOf([7, 9, 8, 11, 8, 5, 11, 12, 5, 13, 13], V).map((each, i) => {
    each.labels.fill(-100, 0, 1 + (i % 3));
    return each;
  });
  const base = {
    perDeviceTrainBatchSize: 2,
    gradientAccumulationSteps: 3,
    numTrainEpochs: 2,
    learningRate: 0.05,
    weightDecay: 0.1,
    loggingSteps: 1,
  } satisfies Partial<TrainOptions>;

  async function run(given: Partial<TrainOptions>, available: number | null = null) {
    const model = new BigramModel(V);
    model.passMemory = (tokens) => ({
      bytes: { none: 30 * tokens, elementwise: 20 * tokens, blocks: 10 * tokens },
      available,
    });
    const events: TrainEvent[] = [];
    for await (const event of new Trainer(model, { trainRows, options: { ...base, ...given } }).train())
      events.push(event);
    const log: LogRow[] = events.flatMap((event) => ('row' in event && event.row !== null ? [event.row] : []));
    return { model, events, log, planned: events.find((event) => event.type === 'plan') };
  }

  /** All but times, to the rounding of float64 sums. */
  function expectSame(got: LogRow[], want: LogRow[]): void {
    expect(got.length).toBe(want.length);
    for (const [i, each] of want.entries()) {
      expect(Object.keys(got[i]!)).toEqual(Object.keys(each));
      for (const [key, value] of Object.entries(each))
        if (!/runtime|per_second/.test(key))
          expect(got[i]![key as keyof LogRow], `row ${i}, ${key}`).toBeCloseTo(value!, 10);
    }
  }

  it.each([
    ['a pass an update', {}, 1e6],
    ['merged and divided passes', {}, 900],
    ['a pass a row', { tokensPerPass: 13 }, null],
    ['passes of up to 25 tokens', { tokensPerPass: 25 }, null],
  ])('gives the same weights and the same log: %s', async (_what, given, available) => {
    for (const compat of [null, 'trl'] as const) {
      const apart = await run({ compat });
      const other = await run({ compat, ...given }, available);
      expect(other.planned).toBeDefined();
      if (compat === null) expect(lengthsOf(other.model)).not.toEqual(lengthsOf(apart.model));
      for (const [i, weight] of apart.model.weights.entries()) expect(other.model.weights[i]).toBeCloseTo(weight, 10);
      expectSame(other.log, apart.log);
    }
  });

  const lengthsOf = (model: BigramModel) => model.batches.map(({ tokens }) => tokens.length);

  it('tells the plan after the start, and progress after every pass', async () => {
    const { model, events, planned } = await run({ maxSteps: 1 }, 900);
    expect(events.slice(0, 2).map(({ type }) => type)).toEqual(['start', 'plan']);
    expect(planned).toMatchObject({ tokensPerPass: 28, recompute: 'none', passes: 3, available: 900 });
    expect(model.recomputed).toEqual(['none']);
    const progress = events.filter((event) => event.type === 'progress');
    expect(progress.map(({ microSteps }) => microSteps)).toEqual(progress.map(() => 3));
    expect(progress.at(-1)).toMatchObject({ microStep: 3, step: 1 });
    const tokens = progress.map((event) => event.tokens);
    expect(tokens).toEqual(lengthsOf(model).map((_, i, all) => all.slice(0, i + 1).reduce((a, b) => a + b)));
  });

  it('counts a micro-batch as done when its last row is', async () => {
    const { model, events } = await run({ maxSteps: 1, tokensPerPass: 13 });
    expect(lengthsOf(model)).toEqual([11, 5, 13, 8, 9, 13]);
    const steps = events.flatMap((event) => (event.type === 'progress' ? [event.microStep] : []));
    expect(steps).toEqual([0, 1, 1, 2, 2, 3]);
  });

  it('leaves the model as it was made where nothing is said and memory is not limited', async () => {
    expect((await run({})).model.recomputed).toEqual([]);
    expect((await run({ tokensPerPass: 20 })).model.recomputed).toEqual([]);
  });

  it('recomputes what the options say, limited memory or not', async () => {
    for (const passes of [{}, { tokensPerPass: 20 }])
      for (const available of [null, 1e6]) {
        expect((await run({ ...passes, recompute: 'elementwise' }, available)).model.recomputed).toEqual([
          'elementwise',
        ]);
        expect((await run({ ...passes, gradientCheckpointing: true }, available)).model.recomputed).toEqual(['blocks']);
      }
  });

  it('can be asked before it starts, and refuses before anything is trained', async () => {
    const model = new BigramModel(V);
    model.passMemory = () => ({ bytes: { none: 3e9, elementwise: 2e9, blocks: 1e9 }, available: 5e8 });
    const trainer = new Trainer(model, { trainRows, options: base });
    expect(() => trainer.planPasses()).toThrow(expect.objectContaining({ code: 'ERR_GEMMATUNE_MEMORY' }));
    await expect(
      trainer
        .train()
        .next()
        .then(() => trainer.train().next()),
    ).rejects.toThrow();
    expect(model.batches).toEqual([]);
  });

  it('sums in the same order after a resume, though more memory is free then', async () => {
    const outputDir = await mkdtemp(join(tmpdir(), 'gemmatune-plan-'));
    try {
      const steps = { saveSteps: 1, maxSteps: 3 };
      const straight = await run({ ...steps }, 900);
      await run({ ...steps, outputDir }, 900);
      await rm(join(outputDir, 'checkpoint-3'), { recursive: true });
      const resumed = await run({ ...steps, outputDir, resume: true }, 1e6);
      expect(resumed.planned).toMatchObject({ tokensPerPass: 28, available: 1e6 });
      expect(resumed.model.weights).toEqual(straight.model.weights);
      await rm(join(outputDir, 'checkpoint-3'), { recursive: true });
      const smaller = await run({ ...steps, outputDir, resume: true }, 290);
      expect(smaller.planned).toMatchObject({ tokensPerPass: 13, recompute: 'elementwise' });
      expect(smaller.events).toContainEqual(
        expect.objectContaining({
          code: 'other-passes',
          message:
            'The checkpoint was trained in passes of up to 28 tokens, and now they have up to 13: sums are rounded otherwise.',
        }),
      );
    } finally {
      await rm(outputDir, { recursive: true });
    }
  });
});
