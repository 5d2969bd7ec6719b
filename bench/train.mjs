// Training at full shape, measured: node bench/train.mjs --rows rows.jsonl --model folder [--steps 3 ...]; prints one JSON line with
// the fields of bench/peers/trl.py. Rows are {input_ids, labels}; order, batches and loss are TRL's.
import { createReadStream, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { epochUpdates, packBatch } from '../packages/data/dist/index.js';
import { Model, systemInfo } from '../packages/engine/dist/index.js';

const { values: a } = parseArgs({
  options: {
    rows: { type: 'string' },
    model: { type: 'string' },
    batch: { type: 'string', default: '2' },
    accumulation: { type: 'string', default: '8' },
    steps: { type: 'string', default: '3' },
    warmup: { type: 'string', default: '1' },
    dtype: { type: 'string', default: 'bfloat16' },
    threads: { type: 'string', default: '0' },
    'gradient-checkpointing': { type: 'string', default: 'off' },
    'learning-rate': { type: 'string', default: '5e-5' },
    seed: { type: 'string', default: '42' },
  },
});

const memory = (field) =>
  Number(readFileSync('/proc/self/status', 'utf8').match(new RegExp(`${field}:\\s+(\\d+) kB`))[1]) * 1024;

const rows = [];
for await (const line of createInterface({ input: createReadStream(a.rows) })) {
  const { input_ids, labels } = JSON.parse(line);
  rows.push({ inputIds: Int32Array.from(input_ids), labels: Int32Array.from(labels) });
}
const before = memory('VmRSS');
const model = await Model.load(a.model, {
  dtype: a.dtype,
  trainable: true,
  threads: Number(a.threads),
  gradientCheckpointing: a['gradient-checkpointing'] === 'on',
});
const updates = epochUpdates(rows.length, {
  batchSize: Number(a.batch),
  gradientAccumulation: Number(a.accumulation),
  seed: Number(a.seed),
  epoch: 0,
});
const steps = [];
const losses = [];
for (const [i, microBatches] of updates.slice(0, Number(a.steps)).entries()) {
  const start = performance.now();
  const cpu = process.cpuUsage();
  let tokens = 0;
  let supervised = 0;
  let lossSum = 0;
  for (const indices of microBatches) {
    const batch = packBatch(indices.map((r) => rows[r]));
    const m = await model.accumulate(batch);
    tokens += batch.tokens.length;
    supervised += m.targets;
    lossSum += m.lossSum;
  }
  const accumulated = performance.now();
  await model.update({
    learningRate: Number(a['learning-rate']),
    step: i + 1,
    divisor: supervised,
    maxGradNorm: 1,
    weightDecay: 0,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
  });
  const end = performance.now();
  const { user, system } = process.cpuUsage(cpu);
  steps.push({
    seconds: (end - start) / 1e3,
    updateSeconds: (end - accumulated) / 1e3,
    cpuSeconds: (user + system) / 1e6,
    tokens,
    supervised,
  });
  losses.push(lossSum / supervised);
}
const median = (f) => {
  const sorted = (steps.length > Number(a.warmup) ? steps.slice(Number(a.warmup)) : steps).map(f).sort((x, y) => x - y);
  const m = sorted.length / 2;
  return Number.isInteger(m) ? (sorted[m - 1] + sorted[m]) / 2 : sorted[Math.floor(m)];
};
const peak = memory('VmHWM');
console.log(
  JSON.stringify({
    peer: 'gemmatune',
    settings: a,
    steps,
    losses,
    medianStepSeconds: median((s) => s.seconds),
    tokensPerSecond: median((s) => s.tokens / s.seconds),
    supervisedTokensPerSecond: median((s) => s.supervised / s.seconds),
    peakResidentBytes: peak,
    peakMinusBaselineBytes: peak - before,
    baselineBytes: before,
    memory: model.memory(),
    instructionSet: systemInfo().instructionSet,
    node: process.version,
  }),
);
await model.dispose();
