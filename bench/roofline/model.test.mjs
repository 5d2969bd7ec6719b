import { describe, expect, it } from 'vitest';
import { CONFIG_270M } from '../measure/model.mjs';
import { DESIGNS, stepOps } from './costs.mjs';
import { cpuRates, GPUS, modelPhases, opSeconds, PHASES, wholeStep } from './model.mjs';
import { schedule } from './schedule.mjs';
import { modelTwoGpus, TWO_GPU_DESIGNS } from './two-gpus.mjs';

/** @param {Partial<import('./costs.mjs').Op>} more @returns {import('./costs.mjs').Op} */
const op = (more) => ({
  ...{ op: 'matmul_forward', shape: '', phase: 'products', part: 'forward' },
  ...{ calls: 1, flops: 0, bytes: 0, extraFlops: 0, extraBytes: 0, ...more },
});

describe('opSeconds', () => {
  const rates = { products: 100, attention: 50, memory: 10 };
  it('is the slower of arithmetic and memory', () => {
    expect(opSeconds(op({ flops: 200, bytes: 10 }), rates)).toEqual({ seconds: 2, boundBy: 'compute' });
    expect(opSeconds(op({ flops: 200, bytes: 10, extraBytes: 20 }), rates)).toEqual({ seconds: 3, boundBy: 'memory' });
    expect(opSeconds(op({ phase: 'attention', flops: 100, extraFlops: 50 }), rates).seconds).toBe(3);
  });
  it('can leave out what our kernels do beyond the least', () => {
    const own = op({ flops: 100, extraFlops: 900, extraBytes: 900 });
    expect(opSeconds(own, rates, { extra: false }).seconds).toBe(1);
  });
});

describe('cpuRates', () => {
  const limits = [
    { limit: 'copy', device: 'cpu', bytesPerSecond: 20e9 },
    { limit: 'fma float32', device: 'cpu', flopsPerSecond: 236e9 },
    { limit: 'fma bfloat16', device: 'cpu', flopsPerSecond: 473e9 },
  ];
  it('multiplies in the fastest bfloat16 there is, and attends in float32', () => {
    expect(cpuRates(limits)).toEqual({ products: 473e9, attention: 236e9, memory: 20e9 });
    expect(cpuRates([...limits, { limit: 'tiles bfloat16', flopsPerSecond: 7e12 }])?.products).toBe(7e12);
    expect(cpuRates(limits, 'float32')?.products).toBe(236e9);
    expect(cpuRates(limits.slice(0, 2))?.products).toBe(236e9);
  });
  it('is null without limits, or with those of a GPU', () => {
    expect(cpuRates([])).toBeNull();
    expect(cpuRates(limits.map((limit) => ({ ...limit, device: 'cuda:0' })))).toBeNull();
  });
});

describe('modelPhases', () => {
  const pass = { lengths: Array(16).fill(512), supervised: 960 };
  it('has the floors of the gates on kernels at peak rates', () => {
    // docs of the gates: 168.5 ms on a T4, 11.14 ms on an H200 (native/gpu/budgets.json, training_step completion).
    for (const [card, floor] of /** @type {const} */ ([
      ['t4', 0.1685],
      ['h200', 0.01114],
    ])) {
      const { rates, peak, design } = GPUS[card];
      const step = wholeStep(modelPhases(stepOps(CONFIG_270M, [pass], DESIGNS[design]), rates, peak));
      expect(step.floorSeconds).toBeCloseTo(floor, 4);
      expect(step.seconds).toBeGreaterThan(step.floorSeconds);
    }
  });

  it('on a CPU: products by hand', () => {
    const rates = { products: 473e9, attention: 236e9, memory: 20e9 };
    const phases = modelPhases(stepOps(CONFIG_270M, [pass], DESIGNS.cpu), rates);
    expect(phases.map(({ phase }) => phase)).toEqual(PHASES);
    const [products] = phases;
    // Three products of 100,270,080 parameters for 8,192 tokens, all bound by arithmetic.
    expect(products.seconds).toBeCloseTo((6 * 100_270_080 * 8192) / 473e9, 6);
    expect(products.boundBy).toBe('compute');
    // 36 bytes a parameter: the norm reads the gradient, AdamW reads and writes 16.
    expect(phases.at(-1)?.seconds).toBeCloseTo((36 * 268_098_176) / 20e9, 6);
  });
});

describe('schedule', () => {
  it('gives a free resource to the first task of the list that is ready', () => {
    const times = schedule([
      { name: 'a', on: 'gpu', seconds: 2, after: [] },
      { name: 'late', on: 'link', seconds: 1, after: ['a'] },
      { name: 'early', on: 'link', seconds: 3, after: [] },
      { name: 'b', on: 'gpu', seconds: 1, after: ['a', 'late'] },
    ]);
    expect(times.get('early')).toEqual({ start: 0, end: 3 });
    expect(times.get('late')).toEqual({ start: 3, end: 4 });
    expect(times.get('b')).toEqual({ start: 4, end: 5 });
  });
  it('names a task that can never run', () => {
    expect(() => schedule([{ name: 'a', on: 'gpu', seconds: 1, after: ['b'] }])).toThrow('a waits for a task');
  });
});

describe('modelTwoGpus', () => {
  const pass = { lengths: Array(16).fill(277), supervised: 16 * 276 };
  const on = (/** @type {string} */ design, /** @type {number} */ link) =>
    modelTwoGpus(CONFIG_270M, pass, { design, gpu: GPUS.t4, link });

  const sent = (design) =>
    Object.fromEntries(on(design, 5e9).plan.map((transfer) => [transfer.what.split(' ')[0], transfer.bytes]));

  it('sends a step as it is built by hand', () => {
    // 16 x 277 tokens, of which each GPU has half; 4,416 supervised rows of 640, half of which are the other's; 100,270,080 numbers of the body.
    expect(sent('as built, bfloat16 wire')).toMatchObject({
      embedded: 8 * 277 * 640 * 4,
      normed: 2208 * 640 * 2,
      'maximum,': 4416 * 20,
      partial: 2208 * 640 * 2,
      'reduce-scatter': 100_270_080,
      'all-gather': 100_270_080,
      dx: 8 * 277 * 640 * 4,
      sum: 8,
    });
    expect(sent('as built, float32 wire')['reduce-scatter']).toBe(2 * 100_270_080);
  });

  it('stands still for what nothing hides', () => {
    const { plan } = on('as built, bfloat16 wire', 5e9);
    for (const transfer of plan.filter(({ hiddenBehind }) => hiddenBehind === 'nothing'))
      expect(transfer.exposedSeconds).toBeCloseTo(transfer.seconds, 6);
    const { plan: hidden } = on('all hidden, float32 wire', 5e9);
    expect(hidden.find(({ what }) => what.startsWith('normed'))?.exposedSeconds).toBe(0);
    for (const each of [plan, hidden])
      expect(each.find(({ what }) => what.startsWith("partial dx of the other's"))?.exposedSeconds).toBe(0);
  });

  it('waits for no weights over a fast link, and for some over a slow one', () => {
    const weights = (/** @type {number} */ link) =>
      on('as built, float32 wire', link).plan.find(({ what }) => what.startsWith('all-gather'));
    expect(weights(10e9)?.exposedSeconds).toBe(0);
    expect(weights(1e9)?.exposedSeconds).toBeGreaterThan(0.05);
  });

  it('accounts for all of the time: computing, and standing still for a transfer', () => {
    for (const design of Object.keys(TWO_GPU_DESIGNS))
      for (const link of [1e9, 5e9, 1e15]) {
        const { seconds, computeSeconds, exposedSeconds, plan } = on(design, link);
        expect(seconds).toBeCloseTo(computeSeconds + exposedSeconds, 9);
        expect(plan.reduce((sum, transfer) => sum + transfer.exposedSeconds, 0)).toBeCloseTo(exposedSeconds, 6);
      }
  });
});
