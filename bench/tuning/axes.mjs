/**
 * What can be set, and in which order values are tried. None of it changes what is learnt beyond the rounding of sums: the sequences of
 * an update stay the same.
 *
 * @typedef {object} Setting
 * @property {'float32' | 'bfloat16'} dtype
 * @property {number} threads CPU threads
 * @property {string} kernels name of a kernel variant, a key of `environments`
 * @property {number} batch sequences of a micro-batch
 * @property {number | null} tokensPerPass most tokens of a pass; null: a micro-batch on the CPU, as much as fits on a GPU
 * @property {'none' | 'elementwise' | 'blocks'} recompute what backward makes again
 *
 * @typedef {object} Axis
 * @property {keyof Setting} name
 * @property {(setting: Setting) => unknown[][]} directions values to try from a setting on, in lines that lead away from its own: where
 *   one is clearly slower, the ones behind it are not tried
 *
 * @typedef {object} Space
 * @property {Setting} start what `gemmatune finetune` does by itself
 * @property {Axis[]} axes
 * @property {Record<string, Record<string, string>>} environments variables by kernel variant
 */

/** Kernels as the machine picks them: no variable is set. */
const AUTOMATIC = 'automatic';

/** Longest row that `gemmatune finetune` lets through by default: a smaller pass would be refused on other rows. */
const LEAST_PASS = 1024;

/**
 * @typedef {object} Place
 * @property {string} device `cpu`, `cuda:0`, …
 * @property {number} cores
 * @property {string} instructionSet the CPU's, as the engine names it: `avx512+amx-bf16`
 * @property {boolean} fastBfloat16 what `dtype auto` goes by
 * @property {'sm75' | 'sm80'} [path] kernels of the GPU
 *
 * @typedef {object} Start
 * @property {number} batch the micro-batch to start from
 * @property {number} sequences of an update as trials run it
 * @property {number} tokens of such an update
 */

/** @param {Place} place @param {Start} trial @returns {Space} */
export function spaceOf(place, trial) {
  return place.device === 'cpu' ? cpuSpace(place, trial) : gpuSpace(place, trial);
}

/** @param {Place} place @param {Start} trial @returns {Space} */
function cpuSpace({ cores, instructionSet, fastBfloat16 }, { batch, sequences, tokens }) {
  const environments = cpuKernels(instructionSet);
  /** @type {Setting} */
  const start = {
    dtype: fastBfloat16 ? 'bfloat16' : 'float32',
    threads: cores,
    kernels: AUTOMATIC,
    batch,
    tokensPerPass: null,
    recompute: 'elementwise',
  };
  // What differs from machine to machine comes first: the defaults of the others are seldom beaten.
  /** @type {Axis[]} */
  const axes = [
    { name: 'batch', directions: ({ batch }) => [divisors(batch, sequences, 1), divisors(batch, sequences, -1)] },
    { name: 'tokensPerPass', directions: ({ tokensPerPass }) => [doubles(tokensPerPass ?? LEAST_PASS / 2, tokens)] },
    { name: 'recompute', directions: recomputeDirections },
    { name: 'dtype', directions: ({ dtype }) => [[dtype === 'float32' ? 'bfloat16' : 'float32']] },
    { name: 'threads', directions: ({ threads }) => [halves(threads), doubles(threads, cores)] },
    { name: 'kernels', directions: ({ kernels }) => [Object.keys(environments).filter((name) => name !== kernels)] },
  ];
  return { start, axes, environments };
}

/** @param {Place} place @param {Start} trial @returns {Space} */
function gpuSpace({ path }, { batch, tokens }) {
  /** @type {Space['environments']} */
  const environments = {
    [AUTOMATIC]: {},
    cuBLASLt: { GEMMATUNE_CUBLASLT: '1' },
    ...(path === 'sm80' && { sm75: { GEMMATUNE_GPU: 'sm75' } }),
  };
  // Micro-batches are merged into passes there, so that their size decides nothing.
  /** @type {Setting} */
  const start = { dtype: 'bfloat16', threads: 0, kernels: AUTOMATIC, batch, tokensPerPass: null, recompute: 'none' };
  /** @type {Axis[]} */
  const axes = [
    { name: 'tokensPerPass', directions: ({ tokensPerPass }) => [halves(tokensPerPass ?? 2 * tokens, LEAST_PASS)] },
    { name: 'recompute', directions: recomputeDirections },
    {
      name: 'kernels',
      directions: ({ kernels }) =>
        Object.keys(environments)
          .filter((name) => name !== kernels)
          .map((name) => [name]),
    },
  ];
  return { start, axes, environments };
}

const MODES = ['none', 'elementwise', 'blocks'];
/** @param {Setting} setting */
const recomputeDirections = ({ recompute }) => [
  MODES.slice(MODES.indexOf(recompute) + 1),
  MODES.slice(0, MODES.indexOf(recompute)).reverse(),
];

/**
 * Kernel families from the CPU's own downwards; one that is named has no bfloat16 and no tile instructions.
 * @param {string} instructionSet
 * @returns {Space['environments']}
 */
function cpuKernels(instructionSet) {
  const [own, products] = instructionSet.split('+');
  const families = FAMILIES.slice(FAMILIES.indexOf(own) + (products === undefined ? 1 : 0));
  return {
    [AUTOMATIC]: {},
    ...(products === 'amx-bf16' && { 'without AMX': { GEMMATUNE_AMX: '0' } }),
    ...Object.fromEntries(families.map((name) => [name, { GEMMATUNE_CPU: name }])),
  };
}
const FAMILIES = ['avx512', 'avx2', 'portable'];

/** n/2, n/4, … down to `least`, whole numbers. @param {number} n */
function halves(n, least = 1) {
  /** @type {number[]} */
  const values = [];
  for (let value = Math.floor(n / 2); value >= least; value = Math.floor(value / 2)) values.push(value);
  return values;
}

/** 2n, 4n, … up to `most`. @param {number} n @param {number} most */
function doubles(n, most) {
  /** @type {number[]} */
  const values = [];
  for (let value = 2 * n; value <= most; value *= 2) values.push(value);
  return values;
}

/** Divisors of `n` above (1) or below (-1) `from`, the nearest first. @param {number} from @param {number} n @param {1 | -1} sign */
function divisors(from, n, sign) {
  const all = Array.from({ length: n }, (_, i) => i + 1).filter((each) => n % each === 0 && sign * (each - from) > 0);
  return sign > 0 ? all : all.reverse();
}
