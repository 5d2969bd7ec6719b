// Trains some optimizer steps and prints one JSON line: seconds, tokens and losses by step, peak memory; with --profile also the
// seconds of each op in one more step. Order, batches and loss are TRL's.  node bench/workers/train.mjs --model FOLDER --rows FILE

import { parseArgs } from 'node:util';
import { epochUpdates, packBatch } from '@gemmatune/data';
import { Group, Model, systemInfo } from '@gemmatune/engine';
import { passesOf } from '@gemmatune/train';
import { peakResidentBytes, residentBytes } from '../measure/memory.mjs';
import { modelConfig, modelFolder, reducedConfig } from '../measure/model.mjs';
import { placeOf } from '../measure/options.mjs';
import { median } from '../measure/statistics.mjs';
import { readRows, workloadRows } from '../measure/workload.mjs';

const { values: a } = parseArgs({
  options: {
    model: { type: 'string', default: '' }, // folder; '' = random weights of the 270M shape
    layers: { type: 'string', default: '0' }, // random weights with fewer layers, or another vocabulary
    'vocab-size': { type: 'string', default: '0' },
    rows: { type: 'string', default: '' }, // lines of {input_ids, labels}; '' = workload.json with --loss
    loss: { type: 'string', default: 'full' },
    batch: { type: 'string', default: '2' },
    accumulation: { type: 'string', default: '8' },
    sequences: { type: 'string', default: '0' }, // of one step, in place of accumulation; a batch holds no more
    'tokens-per-pass': { type: 'string', default: '0' }, // 0 = a pass is a micro-batch
    recompute: { type: 'string', default: 'elementwise' },
    precision: { type: 'string', default: '' }, // in place of dtype
    dtype: { type: 'string', default: 'auto' },
    device: { type: 'string', default: 'cpu' },
    threads: { type: 'string', default: '0' },
    steps: { type: 'string', default: '3' },
    warmup: { type: 'string', default: '1' },
    'learning-rate': { type: 'string', default: '5e-5' },
    seed: { type: 'string', default: '42' },
    profile: { type: 'boolean', default: false },
    rank: { type: 'string', default: '0' }, // one of several processes that train together: micro-batches are dealt to them in turn
    'world-size': { type: 'string', default: '1' },
    address: { type: 'string', default: '' },
    whole: { type: 'boolean', default: false }, // gradients are added up whole, instead of each rank having a part of the model
    wire: { type: 'string', default: 'float32' },
  },
});
/** @param {keyof typeof a} name */
const number = (name) => Number(a[name]);
/** @type {Record<string, import('@gemmatune/engine').ModelOptions>} bf16: no float32 masters */
const PRECISIONS = {
  '': {},
  amp: { dtype: 'bfloat16' },
  bf16: { dtype: 'bfloat16', masterWeights: false },
  fp32: { dtype: 'float32' },
};
if (!Object.hasOwn(PRECISIONS, a.precision))
  throw new Error(`--precision: found '${a.precision}', expected amp, bf16 or fp32`);
const sequences = number('sequences') || number('batch') * number('accumulation');
const batchSize = Math.min(number('batch'), sequences);
const gradientAccumulation = sequences / batchSize;
if (!Number.isInteger(gradientAccumulation))
  throw new Error(`--sequences: found ${sequences}, expected a multiple of the batch ${batchSize}`);

const { model, rows, baselineBytes } = await prepare();
const [rank, ranks] = [number('rank'), number('world-size')];
const group = ranks > 1 ? await Group.join({ rank, size: ranks, address: a.address }) : null;
const wire = /** @type {import('@gemmatune/engine').DTypeName} */ (a.wire);
const collectives = group && (await model.share(group, { sharded: !a.whole, wire })).collectives;
const steps = [];
/** @type {number[]} */
const losses = [];
for (let step = 1; step <= number('steps'); step++) {
  const { loss, ...measured } = await timedStep(step);
  steps.push(measured);
  losses.push(loss);
}
const peak = peakResidentBytes();
const memory = model.memory();

const timed = steps.length > number('warmup') ? steps.slice(number('warmup')) : steps;
/** @typedef {typeof result} Printed */
const result = {
  peer: 'gemmatune',
  settings: { ...a, batch: batchSize, accumulation: gradientAccumulation, sequences, dtype: model.dtype },
  steps,
  losses,
  medianStepSeconds: median(timed.map((s) => s.seconds)),
  tokensPerSecond: median(timed.map((s) => s.tokens / s.seconds)),
  supervisedTokensPerSecond: median(timed.map((s) => s.supervised / s.seconds)),
  peakResidentBytes: peak,
  peakMinusBaselineBytes: peak - baselineBytes,
  baselineBytes,
  memory,
  collectives,
  ...(a.profile ? { profile: await profiledStep() } : {}),
  instructionSet: systemInfo().instructionSet,
  node: process.version,
};
if (group) {
  // Weights that the others updated are still on their way: a rank that left now would fail those that wait for its part.
  await model.completeCopies();
  await group.gather('the end', new Uint8Array());
  group.leave();
}
await model.dispose();
console.log(JSON.stringify(result));

/** @returns the model, its rows, and the resident bytes before the model was there */
async function prepare() {
  const reduced = number('layers') > 0 || number('vocab-size') > 0;
  const folder = reduced ? a.model : await modelFolder(a.model);
  const config = reducedConfig(await modelConfig(folder), number('layers'), number('vocab-size'));
  const { vocabSize, maxPositionEmbeddings: maxTokens } = config;
  const loss = /** @type {import('../measure/workload.mjs').Loss} */ (a.loss);
  const rows = a.rows ? await readRows(a.rows) : await workloadRows({ loss, vocabSize, maxTokens });
  const recompute = /** @type {import('@gemmatune/engine').Recompute} */ (a.recompute);
  const options = { ...placeOf(a), ...PRECISIONS[a.precision], trainable: true, recompute };
  const baselineBytes = residentBytes();
  const model = reduced ? await Model.create(config, { ...options, seed: 1 }) : await Model.load(folder, options);
  return { model, rows, baselineBytes };
}

/** The rows of step `step` (from 1), micro-batch by micro-batch; epochs follow each other. @param {number} step */
function microBatches(step) {
  const updatesPerEpoch = Math.ceil(Math.ceil(rows.length / batchSize) / gradientAccumulation);
  const epoch = Math.floor((step - 1) / updatesPerEpoch);
  const updates = epochUpdates(rows.length, { batchSize, gradientAccumulation, seed: number('seed'), epoch });
  return updates[(step - 1) % updatesPerEpoch].map((indices) => ({
    rows: indices.map((row) => rows[row]),
    items: indices.length,
  }));
}

/** @param {number} step */
async function timedStep(step) {
  const all = microBatches(step);
  const own = all.filter((_, batch) => batch % ranks === rank);
  const passes = passesOf(own, number('tokens-per-pass') || null, null);
  const before = model.traffic();
  const start = performance.now();
  const cpu = process.cpuUsage();
  const done = [];
  const supervised = targetsOf(all);
  let lossSum = 0;
  for (const [i, { rows: together }] of passes.entries()) {
    const metrics = await model.accumulate(packBatch(together), { last: i + 1 === passes.length });
    done.push({ lengths: together.map(({ inputIds }) => inputIds.length), supervised: metrics.targets });
    lossSum += metrics.lossSum;
  }
  const accumulated = performance.now();
  await model.update({
    learningRate: number('learning-rate'),
    step,
    divisor: supervised,
    maxGradNorm: 1,
    weightDecay: 0,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
  });
  const end = performance.now();
  const { user, system } = process.cpuUsage(cpu);
  return {
    seconds: (end - start) / 1e3,
    updateSeconds: (end - accumulated) / 1e3,
    cpuSeconds: (user + system) / 1e6,
    tokens: all.flatMap(({ rows }) => rows).reduce((sum, { inputIds }) => sum + inputIds.length, 0),
    supervised,
    passes: done,
    loss: lossSum / supervised, // with several ranks: this one's part of it
    traffic: since(before),
  };
}

/** @param {import('@gemmatune/engine').Traffic} before */
function since(before) {
  const now = model.traffic();
  return Object.fromEntries(Object.entries(now).map(([name, value]) => [name, value - before[name]]));
}

/** The first token of a row is not predicted. @param {ReturnType<typeof microBatches>} batches */
function targetsOf(batches) {
  const labels = batches.flatMap(({ rows }) => rows.map((row) => row.labels.subarray(1)));
  return labels.reduce((sum, row) => sum + row.filter((label) => label !== -100).length, 0);
}

/** One more step under the core's profiler, which makes it slower on a GPU. */
async function profiledStep() {
  model.profile(true);
  const { seconds, tokens } = await timedStep(steps.length + 1);
  return { seconds, tokens, ops: model.takeProfile() };
}
