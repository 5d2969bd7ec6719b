// FLOPs and bytes of one optimizer step, op by op, as our kernels do it. Sources: native/model/{gemma,block,head}.cpp for what is called,
// native/bench for the least each op moves (costs.test.mjs compares with its figures in native/gpu/budgets.json).
//
// T tokens of a pass, R of them supervised, C hidden, H query heads, K key-value heads, D head size, I intermediate, V vocabulary, L layers.
/** @import { ModelConfig } from '@gemmatune/engine' */
import { readFileSync } from 'node:fs';

/** What the native plan says: the sizes by which the backend cuts work, and the calls of a step at the 270M shapes. */
export const NATIVE = JSON.parse(readFileSync(new URL('../../native/gpu/budgets.json', import.meta.url), 'utf8'));
const { hostLogits, gpuLogits, vocabularyChunk, sumTile, sumBlocks, sumTokens } = NATIVE.sizes;

/**
 * @typedef {'cpu' | 'cpu float32' | 'sm75' | 'sm80'} DesignName
 *
 * @typedef {object} Design how a backend does a step
 * @property {number} elementBytes of activations and of the weights that products read
 * @property {number} logitBytes room for logits at once
 * @property {boolean} fused the norms between two branches are one kernel
 * @property {boolean} partialSums sums that blocks share go through memory
 * @property {boolean} largest every factor of a product is read once more, for its largest magnitude (sm_75's fp16 containers)
 * @property {number} logitPasses how often logits are written or read
 */

/** @type {Record<DesignName, Design>} */
export const DESIGNS = {
  cpu: { elementBytes: 2, logitBytes: hostLogits, fused: false, partialSums: false, largest: false, logitPasses: 5 },
  'cpu float32': {
    elementBytes: 4,
    logitBytes: hostLogits,
    fused: false,
    partialSums: false,
    largest: false,
    logitPasses: 5,
  },
  sm75: { elementBytes: 2, logitBytes: gpuLogits, fused: true, partialSums: true, largest: true, logitPasses: 4 },
  sm80: { elementBytes: 2, logitBytes: gpuLogits, fused: true, partialSums: true, largest: false, logitPasses: 4 },
};

/**
 * The linear layers of a block.
 * @param {ModelConfig} config
 * @returns {[name: string, outputs: number, inputs: number][]}
 */
function linears({ hiddenSize: C, numHeads: H, numKvHeads: K, headDim: D, intermediateSize: I }) {
  return [
    ['qkv', (H + 2 * K) * D, C],
    ['o', C, H * D],
    ['gate_up', 2 * I, C],
    ['down', C, I],
  ];
}

/** Parameters by kind; the embedding is tied, so it is counted once. @param {ModelConfig} config */
export function parameters(config) {
  const { hiddenSize: C, headDim: D, numLayers: L, vocabSize: V } = config;
  const linear = L * sum(linears(config).map(([, N, K]) => N * K));
  return { linear, norm: L * (4 * C + 2 * D) + C, embedding: V * C };
}

/**
 * Pairs of a query and a key that it sees, in sequences of these lengths.
 * @param {readonly number[]} lengths
 * @param {number} window keys that a query sees at most; 0 = all before it
 */
export function attentionPairs(lengths, window) {
  return sum(
    lengths.map((length) => {
      const full = window ? Math.min(length, window) : length;
      return (full * (full + 1)) / 2 + (length - full) * full;
    }),
  );
}

/** @param {ModelConfig} config @param {string} type of a layer */
const windowOf = (config, type) => (type === 'full_attention' ? 0 : config.slidingWindow);

/**
 * FLOPs that a step needs, forward and backward, whatever computes it: linear layers and the head three products each, attention seven.
 * @param {ModelConfig} config
 * @param {readonly number[]} lengths tokens of each sequence
 * @param {number} supervised tokens with a target, of all sequences
 * @returns {{ linears: number, attention: number, head: number, total: number }}
 */
export function stepFlops(config, lengths, supervised) {
  const { numHeads: H, headDim: D } = config;
  const known = parameters(config);
  const flops = {
    linears: 6 * known.linear * sum(lengths),
    attention: sum(config.layerTypes.map((type) => 14 * attentionPairs(lengths, windowOf(config, type)) * H * D)),
    head: 6 * known.embedding * supervised,
  };
  return { ...flops, total: flops.linears + flops.attention + flops.head };
}

/**
 * @typedef {object} Op A call of the step, and how often a step makes it
 * @property {string} op as in native/ops
 * @property {string} shape
 * @property {'products'|'attention'|'head'|'elementwise'|'embedding'|'update'} phase
 * @property {'forward'|'backward'|'update'} part
 * @property {number} calls
 * @property {number} flops that the mathematics needs, of one call; arithmetic on single elements is left out: memory is slower
 * @property {number} bytes every operand once, twice where it is read and written: the least that moves
 * @property {number} extraFlops that our kernels compute beside: attention's backward makes its scores and their gradient twice
 * @property {number} extraBytes that they move beside
 *
 * @typedef {{ lengths: readonly number[], supervised: number }} Pass what goes forward and backward together
 */

/**
 * The ops of a step whose activations are all kept.
 * @param {ModelConfig} config
 * @param {readonly Pass[]} passes
 * @param {Design} design
 * @returns {Op[]}
 */
export function stepOps(config, passes, design) {
  const known = parameters(config);
  return [
    ...passes.flatMap((pass) => [...bodyOps(config, pass.lengths, design), ...headOps(config, pass, design)]),
    ...updateOps(known.linear + known.embedding + known.norm),
  ];
}

/**
 * Embedding and blocks of one pass, forward and backward.
 * @param {ModelConfig} config
 * @param {readonly number[]} lengths
 * @param {Design} design
 * @returns {Op[]}
 */
export function bodyOps(config, lengths, design) {
  const { hiddenSize: C, numHeads: H, numKvHeads: K, headDim: D, intermediateSize: I, numLayers: L } = config;
  const e = design.elementBytes;
  const T = sum(lengths);
  const longest = Math.max(...lengths);
  const norm = normBytes(C, e);
  const between = design.fused ? norm.between(T) : norm.betweenUnfused(T);
  const rope = 4 * longest * D + 4 * T; // two tables and the positions
  const ops = [
    op('embedding_forward', 'embedding', 'forward', `${T}x${C}`, { bytes: 4 * T * C + e * T * C }),
    // At most: every token another row of the table.
    op('embedding_backward', 'embedding', 'backward', `${T}x${C}`, { bytes: 4 * T * C + 8 * T * C }),
    op('rmsnorm_forward', 'elementwise', 'forward', `${T}x${C}`, { bytes: norm.forward(T) }),
    op('rmsnorm_residual_rmsnorm_forward', 'elementwise', 'forward', `${T}x${C}`, {
      calls: 2 * L - 1,
      bytes: between.forward,
    }),
    op('rmsnorm_residual_forward', 'elementwise', 'forward', `${T}x${C}`, { bytes: norm.residual(T) }),
    op('rmsnorm_backward (of a branch)', 'elementwise', 'backward', `${T}x${C}`, { bytes: norm.backwardBranch(T) }),
    op('rmsnorm_residual_rmsnorm_backward', 'elementwise', 'backward', `${T}x${C}`, {
      calls: 2 * L - 1,
      bytes: between.backward,
    }),
    op('rmsnorm_backward (+=)', 'elementwise', 'backward', `${T}x${C}`, { bytes: norm.backwardAdd(T) }),
    op('qk_norm_rope_forward', 'elementwise', 'forward', `${T}x${H + K}x${D}`, {
      calls: L,
      bytes: 2 * e * T * (H + K) * D + 4 * T * (H + K) + rope,
    }),
    op('qk_norm_rope_backward', 'elementwise', 'backward', `${T}x${H + K}x${D}`, {
      calls: L,
      bytes: 3 * e * T * (H + K) * D + 4 * T * (H + K) + rope,
    }),
    op('geglu_forward', 'elementwise', 'forward', `${T}x${I}`, { calls: L, bytes: 3 * e * T * I }),
    op('geglu_backward', 'elementwise', 'backward', `${T}x${I}`, { calls: L, bytes: 5 * e * T * I }),
  ];
  for (const [name, N, inner] of linears(config)) {
    const [x, y, weight] = [e * T * inner, e * T * N, e * N * inner];
    const flops = 2 * T * N * inner;
    const again = (/** @type {number} */ bytes) => (design.largest ? bytes : 0);
    /** @param {string} kind @param {'forward' | 'backward'} part @param {number} bytes @param {number} extraBytes */
    const product = (kind, part, bytes, extraBytes) =>
      op(kind, 'products', part, `${name} ${T}x${N}x${inner}`, { calls: L, flops, bytes, extraBytes });
    ops.push(
      product('matmul_forward', 'forward', x + weight + y, again(x + weight)),
      product('matmul_backward_input', 'backward', x + weight + y, again(y + weight)),
      product(
        'matmul_backward_weight',
        'backward',
        x + y + 8 * N * inner,
        again(x + y) + (design.partialSums ? 8 * N * inner * splitParts(T, N, inner) : 0),
      ),
    );
  }
  for (const type of ['sliding_attention', 'full_attention']) {
    const calls = config.layerTypes.filter((t) => t === type).length;
    if (calls === 0) continue;
    const window = windowOf(config, type);
    const product = 2 * attentionPairs(lengths, window) * H * D;
    const [q, k, perHead] = [e * T * H * D, e * T * K * D, 4 * T * H];
    const shape = `${T}x${H}x${D}${window ? ` window ${window}` : ''}`;
    ops.push(
      op('attention_forward', 'attention', 'forward', shape, {
        calls,
        flops: 2 * product,
        bytes: 2 * q + 2 * k + perHead,
        extraBytes: design.largest ? q + 2 * k : 0,
      }),
      op('attention_backward', 'attention', 'backward', shape, {
        calls,
        flops: 5 * product,
        bytes: 4 * q + 4 * k + perHead,
        // Two passes without atomics, one owning keys and one owning queries, after one for the row sums of dout · out.
        extraFlops: 2 * product,
        extraBytes: 4 * q + 2 * k + (design.largest ? 2 * q + 3 * k : 0),
      }),
    );
  }
  return ops;
}

/**
 * Final norm, tied projection and loss of one pass, on its supervised tokens only. `lengths` of the tokens that dx is scattered to.
 * @param {ModelConfig} config
 * @param {Pass} pass
 * @param {Design} design
 * @returns {Op[]}
 */
export function headOps(config, { lengths, supervised: R }, design) {
  if (R === 0) return [];
  const { hiddenSize: C, vocabSize: V } = config;
  const e = design.elementBytes;
  const T = sum(lengths);
  const norm = normBytes(C, e);
  const chunks = headChunks(config, R, design);
  const rows = R / chunks;
  return [
    op('gather_rows', 'head', 'forward', `${R}x${C}`, { bytes: 8 * R * C }),
    op('rmsnorm_forward (head)', 'elementwise', 'forward', `${R}x${C}`, { bytes: norm.forward(R) }),
    op('linear_cross_entropy', 'head', 'backward', `${Math.ceil(rows)}x${V}x${C}`, {
      calls: chunks,
      flops: 6 * rows * V * C,
      bytes: 2 * e * V * C + 8 * V * C + design.logitPasses * e * rows * V + 3 * e * rows * C + 12 * rows,
      extraBytes:
        (design.largest ? 2 * e * (V * C + rows * C) : 0) +
        (design.partialSums ? 8 * rows * C * Math.ceil(V / vocabularyChunk) : 0),
    }),
    op('rmsnorm_backward (head)', 'elementwise', 'backward', `${R}x${C}`, { bytes: norm.backwardHead(R) }),
    op('scatter_rows', 'head', 'backward', `${T}x${R}x${C}`, { bytes: 4 * T * C + 8 * R * C }),
  ];
}

/**
 * In how many pieces the logits of R rows are made: each reads the embedding and reads and writes its float32 gradient.
 * @param {ModelConfig} config
 * @param {number} R
 * @param {Design} design
 */
export function headChunks(config, R, design) {
  return Math.ceil(R / Math.floor(design.logitBytes / (config.vocabSize * design.elementBytes)));
}

/**
 * Gradient norm and AdamW over so many parameters: 16 bytes of state, of which all but the gradient's are read and written.
 * @param {number} count
 * @returns {Op[]}
 */
export function updateOps(count) {
  return [
    op('global_norm', 'update', 'update', `${count}`, { bytes: 4 * count }),
    op('adamw_update', 'update', 'update', `${count}`, { bytes: 32 * count }),
  ];
}

/**
 * @param {string} name
 * @param {Op['phase']} phase
 * @param {Op['part']} part
 * @param {string} shape
 * @param {Partial<Op> & { bytes: number }} cost
 * @returns {Op}
 */
function op(name, phase, part, shape, { calls = 1, flops = 0, bytes, extraFlops = 0, extraBytes = 0 }) {
  return { op: name, shape, phase, part, calls, flops, bytes, extraFlops, extraBytes };
}

/**
 * Bytes of the norms on n rows. The residual stream and its gradient are float32, branches have e bytes an element.
 * @param {number} C
 * @param {number} e
 */
function normBytes(C, e) {
  const forward = (/** @type {number} */ n) => (e + 4) * n * C + 4 * n + e * C;
  const residual = (/** @type {number} */ n) => (8 + e) * n * C + 4 * n + e * C;
  const backwardBranch = (/** @type {number} */ n) => (4 + 2 * e) * n * C + 4 * n + (8 + e) * C;
  const backwardAdd = (/** @type {number} */ n) => (12 + e) * n * C + 4 * n + (8 + e) * C;
  return {
    forward,
    residual,
    backwardBranch,
    backwardAdd,
    backwardHead: (/** @type {number} */ n) => (8 + e) * n * C + 4 * n + (8 + e) * C,
    /** Post-norm of a branch, residual, norm of the next branch. */
    between: (/** @type {number} */ n) => ({
      forward: (8 + 2 * e) * n * C + 8 * n + 2 * e * C,
      backward: (12 + 3 * e) * n * C + 8 * n + 16 * C,
    }),
    betweenUnfused: (/** @type {number} */ n) => ({
      forward: residual(n) + forward(n),
      backward: backwardAdd(n) + backwardBranch(n),
    }),
  };
}

/**
 * Pieces of the tokens whose sums of a weight's gradient go through memory, as native/ops/matmul/cuda.cu cuts them; 0 where there is one.
 * @param {number} T
 * @param {number} N
 * @param {number} inner
 */
function splitParts(T, N, inner) {
  const tiles = Math.ceil(N / sumTile) * Math.ceil(inner / sumTile);
  const parts = Math.min(Math.ceil(sumBlocks / tiles), Math.floor(T / sumTokens));
  return parts > 1 ? parts : 0;
}

/** @param {readonly number[]} numbers */
function sum(numbers) {
  return numbers.reduce((a, b) => a + b, 0);
}
