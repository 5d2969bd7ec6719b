// Time of a step from its FLOPs and bytes: an op takes as long as the slower of its arithmetic and its memory traffic, ops run one after
// another. What a kernel loses beyond that (latency, uneven tiles, arithmetic on single elements) is not modelled: it is the gap to find.
/** @import { DesignName, Op } from './costs.mjs' */
import { CARDS } from '../../scripts/kernel-gates/plan.mjs';

/** In the order of the train suite. */
export const PHASES = ['products', 'attention', 'head', 'elementwise', 'embedding', 'update'];

/**
 * @typedef {object} Rates
 * @property {number} products flop/s of matrix products in the model's dtype
 * @property {number} attention flop/s of attention's products
 * @property {number} memory bytes/s, read and written together
 */

/**
 * @typedef {object} Gpu
 * @property {string} name
 * @property {DesignName} design
 * @property {Rates} rates what such cards sustain
 * @property {Rates} peak the vendor's
 */

/**
 * GPUs that the roofline is drawn for.
 * A T4 is held to 70 W: float16 products run at about 24 TFLOP/s in a long run, 65 is the peak.
 * @type {Record<'t4' | 'h200', Gpu>}
 */
export const GPUS = {
  t4: {
    name: 'Tesla T4',
    design: 'sm75',
    rates: { products: 24e12, attention: 24e12, memory: 240e9 },
    peak: peakOf('T4'),
  },
  h200: {
    name: 'H200',
    design: 'sm80',
    rates: { products: 790e12, attention: 790e12, memory: 4.3e12 },
    peak: peakOf('H200'),
  },
};

/** @param {'T4' | 'H200'} card @returns {Rates} */
function peakOf(card) {
  const { flopsPerSecond, bytesPerSecond } = CARDS[card];
  return { products: flopsPerSecond, attention: flopsPerSecond, memory: bytesPerSecond };
}

/**
 * The rates of a CPU from the limits that the kernels suite measured on it. Products of a bfloat16 model run at the fastest bfloat16
 * limit there is, else (CPUs without such instructions) in float32; attention computes in bfloat16 where that is twice the float32 rate and there
 * is no AMX (ops/attention/attention.cpp).
 * @param {readonly Partial<import('../measure/op-times.mjs').Limit>[]} results of suite kernels: limits, and times of ops
 * @param {'bfloat16' | 'float32'} [dtype] of the model
 * @returns {Rates | null} null where the limits are not among them
 */
export function cpuRates(results, dtype = 'bfloat16') {
  const limits = results.flatMap((result) => {
    const { limit, device = 'cpu' } = result;
    return limit !== undefined && device === 'cpu' ? [{ ...result, limit }] : [];
  });
  const fastest = (/** @type {string} */ type) =>
    Math.max(0, ...limits.filter(({ limit }) => limit.includes(type)).map(({ flopsPerSecond }) => flopsPerSecond ?? 0));
  const float32 = fastest('float32');
  const memory = limits.find(({ limit }) => limit === 'copy')?.bytesPerSecond;
  if (!float32 || !memory) return null;
  const products = (dtype === 'bfloat16' && fastest('bfloat16')) || float32;
  const pairs = limits.some(({ family, limit }) => limit.includes('bfloat16') && family === 'avx512bf16');
  return { products, attention: pairs ? products : float32, memory };
}

/**
 * Seconds of one call of an op.
 * @param {Op} op
 * @param {Rates} rates
 * @param {{ extra?: boolean }} [options] extra: count what our kernels compute and move beyond the least (default), or not
 * @returns {{ seconds: number, boundBy: 'compute' | 'memory' }}
 */
export function opSeconds({ phase, flops, bytes, extraFlops, extraBytes }, rates, { extra = true } = {}) {
  const compute = (flops + (extra ? extraFlops : 0)) / (phase === 'attention' ? rates.attention : rates.products);
  const memory = (bytes + (extra ? extraBytes : 0)) / rates.memory;
  return { seconds: Math.max(compute, memory), boundBy: compute > memory ? 'compute' : 'memory' };
}

/**
 * @typedef {{ phase: string, flops: number, bytes: number, seconds: number, floorSeconds: number, boundBy: 'compute' | 'memory' }} Phase
 *   flops and bytes of our kernels; floorSeconds: the least work at peak rates
 */

/**
 * @param {readonly Op[]} ops
 * @param {Rates} rates that are sustained
 * @param {Rates} [peak] default: rates
 * @returns {Phase[]}
 */
export function modelPhases(ops, rates, peak = rates) {
  return PHASES.flatMap((phase) => {
    const own = ops.filter((op) => op.phase === phase);
    if (own.length === 0) return [];
    const bound = { compute: 0, memory: 0 };
    for (const op of own) {
      const { seconds, boundBy } = opSeconds(op, rates);
      bound[boundBy] += op.calls * seconds;
    }
    const total = (/** @type {(op: Op) => number} */ value) => own.reduce((sum, op) => sum + op.calls * value(op), 0);
    return {
      phase,
      flops: total((op) => op.flops + op.extraFlops),
      bytes: total((op) => op.bytes + op.extraBytes),
      seconds: bound.compute + bound.memory,
      floorSeconds: total((op) => opSeconds(op, peak, { extra: false }).seconds),
      boundBy: bound.compute > bound.memory ? 'compute' : 'memory',
    };
  });
}

/** The phases of a step added up, as one more phase. @param {readonly Phase[]} phases @returns {Phase} */
export function wholeStep(phases) {
  const total = (/** @type {'flops' | 'bytes' | 'seconds' | 'floorSeconds'} */ field) =>
    phases.reduce((sum, phase) => sum + phase[field], 0);
  const compute = phases.filter(({ boundBy }) => boundBy === 'compute').reduce((sum, { seconds }) => sum + seconds, 0);
  const seconds = total('seconds');
  return {
    phase: 'step',
    flops: total('flops'),
    bytes: total('bytes'),
    seconds,
    floorSeconds: total('floorSeconds'),
    boundBy: 2 * compute > seconds ? 'compute' : 'memory',
  };
}
