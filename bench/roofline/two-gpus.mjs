// Two GPUs without a fast link, modelled: which bytes cross the bus in a step, when, and what of it computation does not hide. Both GPUs
// do the same at the same time and the bus carries both directions at once, so one GPU and its link are simulated.
/** @import { ModelConfig } from '@gemmatune/engine' */
/** @import { Op, Pass } from './costs.mjs' */
import { bodyOps, DESIGNS, headOps, parameters, updateOps } from './costs.mjs';
import { opSeconds } from './model.mjs';
import { schedule } from './schedule.mjs';

/** Before every transfer the ranks agree on the host that all have come to it, and the GPU is told: a round trip and a few launches. */
const LATENCY = 150e-6;
/** Steps that are simulated; the last two are in the steady state. */
const STEPS = 4;

/**
 * @typedef {{ name: string, seconds: number, after?: string[] }} Computation after: what it waits for, beside the one before
 *
 * @typedef {object} Transfer
 * @property {string} what
 * @property {string} when
 * @property {string} hiddenBehind
 * @property {number} bytes each way and GPU
 * @property {{ name: string, after: string[] }[]} pieces of equal size
 */

/**
 * What crosses the bus, by design.
 * @type {Record<string, { summary: string, build: (step: StepOnOne) => { computations: Computation[], transfers: Transfer[] } }>}
 */
export const TWO_GPU_DESIGNS = {
  'as built, float32 wire': {
    summary:
      'each GPU has half of the sequences, half of the vocabulary for all of them, and updates half of the body; its gradients cross in float32',
    build: (step) => sharded(step, { wireBytes: 4 }),
  },
  'as built, bfloat16 wire': {
    summary: 'the same, with the gradients of the body in bfloat16',
    build: (step) => sharded(step, { wireBytes: 2 }),
  },
  'all hidden, float32 wire': {
    summary:
      "the same, with the head's own rows first while the other's come, and the next batch's embedding rows behind AdamW",
    build: (step) => sharded(step, { wireBytes: 4, hidden: true }),
  },
  'not sharded, bfloat16 wire': {
    summary: 'each GPU has half of the sequences and everything else; all gradients are added up, the embedding last',
    build: whole,
  },
};

/**
 * @param {ModelConfig} config
 * @param {Pass} pass the whole step, in one pass; an even number of like sequences
 * @param {{ design: string, gpu: import('./model.mjs').Gpu, link: number }} options design: of TWO_GPU_DESIGNS; link: bytes/s each way
 * @returns {{ seconds: number, computeSeconds: number, exposedSeconds: number, bytes: number,
 *   plan: { what: string, when: string, hiddenBehind: string, bytes: number, seconds: number, exposedSeconds: number }[] }}
 */
export function modelTwoGpus(config, pass, { design, gpu, link }) {
  const { computations, transfers } = TWO_GPU_DESIGNS[design].build(stepOnOneOfTwo(config, pass, gpu));
  const pieceSeconds = (/** @type {Transfer} */ { bytes, pieces }) => LATENCY + bytes / pieces.length / link;
  const { seconds, stood } = steadyStep(computations, transfers, pieceSeconds);
  const computeSeconds = computations.reduce((sum, { seconds }) => sum + seconds, 0);
  return {
    seconds,
    computeSeconds,
    exposedSeconds: seconds - computeSeconds,
    bytes: transfers.reduce((sum, { bytes }) => sum + bytes, 0),
    // exposedSeconds: the stream stood still while the link carried this.
    plan: transfers.map((transfer) => {
      const { what, when, hiddenBehind, bytes, pieces } = transfer;
      return {
        ...{ what, when, hiddenBehind, bytes },
        seconds: pieces.length * pieceSeconds(transfer),
        exposedSeconds: pieces.reduce((sum, { name }) => sum + (stood.get(name) ?? 0), 0),
      };
    }),
  };
}

/**
 * The last step but one of a few, and how long the stream stood still in it while the link carried what, by piece.
 * @param {readonly Computation[]} computations
 * @param {readonly Transfer[]} transfers
 * @param {(transfer: Transfer) => number} pieceSeconds
 */
function steadyStep(computations, transfers, pieceSeconds) {
  const tasks = upTo(STEPS).flatMap((step) => tasksOf(step, computations, transfers, pieceSeconds));
  const times = schedule(tasks);
  const timeOf = (/** @type {string} */ name) => /** @type {{ start: number, end: number }} */ (times.get(name));
  const carried = tasks
    .filter(({ on }) => on === 'link')
    .map(({ name }) => ({ name: name.replace(/^\d+ /, ''), ...timeOf(name) }));
  /** @type {Map<string, number>} */
  const stood = new Map();
  const step = STEPS - 2;
  const started = timeOf(`${step - 1} ${computations[computations.length - 1].name}`).end;
  let end = started;
  for (const { name } of computations) {
    const next = timeOf(`${step} ${name}`);
    for (const transfer of carried) {
      const overlap = Math.min(transfer.end, next.start) - Math.max(transfer.start, end);
      if (overlap > 0) stood.set(transfer.name, (stood.get(transfer.name) ?? 0) + overlap);
    }
    end = next.end;
  }
  return { seconds: end - started, stood };
}

/**
 * One stream: computations in their order. What the next step waits for carries its number.
 * @param {number} step
 * @param {readonly Computation[]} computations
 * @param {readonly Transfer[]} transfers
 * @param {(transfer: Transfer) => number} pieceSeconds
 * @returns {import('./schedule.mjs').Task[]}
 */
function tasksOf(step, computations, transfers, pieceSeconds) {
  const named = (/** @type {string} */ name) => {
    if (!name.startsWith('before ')) return [`${step} ${name}`];
    return step > 0 ? [`${step - 1} ${name.slice(7)}`] : [];
  };
  const order = computations.map(({ name }) => `${step} ${name}`);
  const before = step > 0 ? [`${step - 1} ${computations[computations.length - 1].name}`] : [];
  return [
    ...computations.map(({ seconds, after = [] }, i) => ({
      ...{ name: order[i], on: 'gpu', seconds },
      after: [...(i > 0 ? [order[i - 1]] : before), ...after.flatMap(named)],
    })),
    ...transfers.flatMap((transfer) =>
      transfer.pieces.map(({ name, after }) => ({
        ...{ name: `${step} ${name}`, on: 'link', seconds: pieceSeconds(transfer) },
        after: after.flatMap(named),
      })),
    ),
  ];
}

/** @typedef {ReturnType<typeof stepOnOneOfTwo>} StepOnOne */

/**
 * Sizes and times of one GPU's work that the designs put together.
 * @param {ModelConfig} config
 * @param {Pass} pass
 * @param {import('./model.mjs').Gpu} gpu
 */
function stepOnOneOfTwo(config, { lengths, supervised }, { design, rates }) {
  const own = lengths.slice(0, lengths.length / 2);
  const seconds = (/** @type {Op[]} */ ops, /** @type {(op: Op) => boolean} */ choose = () => true) =>
    ops.filter(choose).reduce((sum, op) => sum + op.calls * opSeconds(op, rates).seconds, 0);
  const named = (/** @type {Op[]} */ ops, /** @type {string} */ name) => seconds(ops, ({ op }) => op === name);
  const body = bodyOps(config, own, DESIGNS[design]);
  const layers = config.numLayers;
  const part = (/** @type {Op['part']} */ name) =>
    seconds(body, ({ part, phase }) => part === name && phase !== 'embedding');
  return {
    config,
    layers,
    tokens: own.reduce((a, b) => a + b, 0),
    supervised,
    parameters: parameters(config),
    forwardLayer: part('forward') / layers,
    backwardLayer: part('backward') / layers,
    embed: named(body, 'embedding_forward'),
    embedBackward: named(body, 'embedding_backward'),
    head: (/** @type {Partial<ModelConfig>} */ shape, /** @type {number} */ rows) =>
      seconds(headOps({ ...config, ...shape }, { lengths: own, supervised: rows }, DESIGNS[design])),
    norm: (/** @type {number} */ count) => named(updateOps(count), 'global_norm'),
    adamw: (/** @type {number} */ count) => named(updateOps(count), 'adamw_update'),
    /** A pass over `bytes` of memory. */
    copy: (/** @type {number} */ bytes) => bytes / rates.memory,
  };
}

const upTo = (/** @type {number} */ n) => Array.from({ length: n }, (_, i) => i);

/** One piece of a transfer for each block. @param {number} layers @param {string} name @param {(l: number) => string[]} after what piece l waits for */
const perBlock = (layers, name, after) => upTo(layers).map((l) => ({ name: `${name} ${l}`, after: after(l) }));
const afterBackward = (/** @type {number} */ layers) =>
  perBlock(layers, 'gradients', (l) => [`backward ${l}`]).reverse();

/**
 * @param {StepOnOne} step
 * @param {{ wireBytes: number, hidden?: boolean }} options wireBytes: of an element of the body's gradients on the wire. hidden: the head's own
 *   rows go first, while the other's come, and the next batch's embedding rows go behind AdamW of the body
 */
function sharded(step, { wireBytes, hidden = false }) {
  const {
    config,
    layers,
    tokens,
    supervised,
    parameters: { linear, embedding },
  } = step;
  const C = config.hiddenSize;
  const body = linear / 2;
  // Gradients are float32 in memory: another wire is written before and turned back after. The other's part is cleared.
  const [toWire, fromWire] =
    wireBytes === 4 ? [0, 0] : [linear, body].map((count) => step.copy((4 + wireBytes) * count));
  const clear = step.copy(4 * body);
  // The head is three products of one size: logits, dx, dW.
  const head = step.head({ vocabSize: config.vocabSize / 2 }, supervised);
  const computations = [
    { name: 'embed', seconds: 2 * step.embed }, // all tokens, of which half are zeros
    ...upTo(layers).map((l) => ({
      name: `forward ${l}`,
      seconds: step.forwardLayer,
      after: [...(l === 0 ? ['rows'] : []), `weights ${l}`],
    })),
    { name: 'logits of own rows', seconds: head / 6, after: hidden ? [] : ['hidden'] },
    { name: 'logits of other rows', seconds: head / 6, after: ['hidden'] },
    { name: 'dx of the head', seconds: head / 3, after: ['statistics'] },
    { name: 'dW of the head', seconds: head / 3 },
    ...upTo(layers).map((i) => ({
      name: `backward ${layers - 1 - i}`,
      seconds: step.backwardLayer + toWire / layers,
      after: i === 0 ? ['dx'] : [],
    })),
    { name: 'embedding backward', seconds: step.embedBackward, after: ['embedding rows'] },
    {
      name: 'norm',
      seconds: step.norm(body + embedding / 2) + fromWire,
      after: upTo(layers).map((l) => `gradients ${l}`),
    },
    ...upTo(layers).map((l) => ({
      name: `adamw ${l}`,
      seconds: (step.adamw(body) + clear) / layers,
      after: l === 0 ? ['norm sum'] : [],
    })),
    { name: 'adamw embedding', seconds: step.adamw(embedding / 2) },
  ];
  const transfers = [
    hidden
      ? {
          what: "the next batch's embedding rows that the other has, bfloat16",
          when: 'after AdamW of the embedding',
          hiddenBehind: 'nothing',
          bytes: (tokens / 2) * C * 2,
          pieces: [{ name: 'rows', after: ['before adamw embedding'] }],
        }
      : {
          what: "embedded rows of the other's tokens, float32",
          when: 'before the first block',
          hiddenBehind: 'nothing',
          bytes: tokens * C * 4,
          pieces: [{ name: 'rows', after: ['embed'] }],
        },
    {
      what: 'normed rows of supervised tokens, bfloat16',
      when: 'after the last block',
      hiddenBehind: hidden ? 'logits of own rows' : 'nothing',
      bytes: (supervised / 2) * C * 2,
      pieces: [{ name: 'hidden', after: [`forward ${layers - 1}`] }],
    },
    {
      what: 'maximum, mass, moment, target logit, best id of each row',
      when: 'after the logits',
      hiddenBehind: 'nothing',
      bytes: supervised * 20,
      pieces: [{ name: 'statistics', after: ['logits of other rows'] }],
    },
    {
      what: "partial dx of the other's rows, bfloat16",
      when: "after the head's dx",
      hiddenBehind: "the head's dW",
      bytes: (supervised / 2) * C * 2,
      pieces: [{ name: 'dx', after: ['dx of the head'] }],
    },
    {
      what: `reduce-scatter of the body's gradients, ${wireBytes === 4 ? 'float32' : 'bfloat16'}`,
      when: 'as each block ends backward',
      hiddenBehind: 'backward of the blocks below',
      bytes: wireBytes * body,
      pieces: afterBackward(layers),
    },
    {
      what: 'dx of the embedded tokens, float32',
      when: 'after backward',
      hiddenBehind: 'nothing',
      bytes: tokens * C * 4,
      pieces: [{ name: 'embedding rows', after: ['backward 0'] }],
    },
    {
      what: 'sum of squares, for clipping',
      when: 'before AdamW',
      hiddenBehind: 'nothing',
      bytes: 8,
      pieces: [{ name: 'norm sum', after: ['norm'] }],
    },
    {
      what: "all-gather of the body's weights, bfloat16",
      when: 'the first half as AdamW ends each block, the rest after the embedded rows',
      hiddenBehind: 'AdamW of the rest; forward of the blocks before',
      bytes: linear,
      pieces: perBlock(layers, 'weights', (l) => [...(l < layers / 2 ? [] : ['rows']), `before adamw ${l}`]),
    },
  ];
  return { computations, transfers };
}

/**
 * Gradients go over the wire in bfloat16, as each block ends backward and then the rest; every GPU makes the whole update.
 * @param {StepOnOne} step
 */
function whole(step) {
  const {
    layers,
    supervised,
    parameters: { linear, embedding, norm },
  } = step;
  const all = linear + embedding + norm;
  const computations = [
    { name: 'embed', seconds: step.embed },
    ...upTo(layers).map((l) => ({ name: `forward ${l}`, seconds: step.forwardLayer })),
    { name: 'head', seconds: step.head({}, supervised / 2) },
    ...upTo(layers).map((i) => ({ name: `backward ${layers - 1 - i}`, seconds: step.backwardLayer })),
    { name: 'embedding backward', seconds: step.embedBackward },
    {
      name: 'norm',
      seconds: step.norm(all) + step.copy(12 * all), // float32 to the wire's bfloat16 and back
      after: ['rest', ...upTo(layers).map((l) => `gradients ${l}`)],
    },
    { name: 'adamw', seconds: step.adamw(all) },
  ];
  const transfers = [
    {
      what: 'all-reduce of the blocks, bfloat16',
      when: 'as each block ends backward',
      hiddenBehind: 'backward of the blocks below',
      bytes: 2 * linear,
      pieces: afterBackward(layers),
    },
    {
      what: 'all-reduce of the embedding and the norms, bfloat16',
      when: 'after backward',
      hiddenBehind: 'nothing',
      bytes: 2 * (embedding + norm),
      pieces: [{ name: 'rest', after: ['embedding backward'] }],
    },
  ];
  return { computations, transfers };
}
