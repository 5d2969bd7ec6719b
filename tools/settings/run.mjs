// Runs the trials that have no result yet, one after the other, each as a person would: `gemmatune finetune`, then `gemmatune evaluate` on
// rows that were not trained on.
//
//   node tools/settings/run.mjs --base build/real-base --data hermes=DIR --data home=DIR [--only STAGE] [--hours H] [--results FILE]
//
// DIR holds train.jsonl and eval.jsonl. A trial's rows are the first N of train.jsonl in an order drawn from its seed. Results: a line of JSON each,
// appended when a trial is done, so a run that is stopped goes on where it was.
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measured, words } from '../measured.mjs';
import { EVALUATION, LOSSES, STAGES } from './trials.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const program = join(root, 'packages/cli/bin/gemmatune.mjs');

const { values: given } = parseArgs({
  options: {
    base: { type: 'string', default: join(root, 'build/real-base') },
    data: { type: 'string', multiple: true, default: [] },
    only: { type: 'string' },
    hours: { type: 'string', default: '8' },
    results: { type: 'string', default: join(root, 'bench/results/settings/trials.jsonl') },
  },
});
const folders = new Map(given.data.map((pair) => pair.split('=')));

/** Rows and model of the trial that runs, or ran last. */
const work = join(root, 'build/settings');

const lines = (path) => readFileSync(path, 'utf8').trimEnd().split('\n');
const keyOf = (trial) => JSON.stringify(Object.entries(trial).sort(([a], [b]) => (a < b ? -1 : 1)));

/** mulberry32: numbers in [0, 1) from a seed. */
function* numbers(seed) {
  for (let a = seed >>> 0; ; ) {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    yield ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
}

/** The first `count` of `rows` after a shuffle. */
function drawn(rows, count, seed) {
  const random = numbers(seed);
  const all = [...rows];
  for (let i = 0; i < count; i++) {
    const at = i + Math.floor(random.next().value * (all.length - i));
    [all[i], all[at]] = [all[at], all[i]];
  }
  return all.slice(0, count);
}

const gemmatune = (command, options) => measured(process.execPath, [program, command, ...words(options), '--json']);

async function measure(trial) {
  const { data, rows, ...settings } = trial;
  const folder = folders.get(data);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const evalFile = join(folder, 'eval.jsonl');
  const train = join(work, 'train.jsonl');
  const outputDir = join(work, 'model');
  writeFileSync(train, `${drawn(lines(join(folder, 'train.jsonl')), rows, trial.seed).join('\n')}\n`);
  const updates = Math.ceil(rows / settings.perDeviceTrainBatchSize) * settings.numTrainEpochs;
  const often = Math.ceil(updates / LOSSES);
  const training = await gemmatune('finetune', {
    ...{ model: given.base, train, evalFile, outputDir },
    ...{ loggingSteps: 1, evalStrategy: 'steps', evalSteps: often, saveSteps: often },
    ...settings,
  });
  const { log_history } = JSON.parse(readFileSync(join(outputDir, 'trainer_state.json'), 'utf8'));
  const { format } = settings;
  const asked = (model) => gemmatune('evaluate', { model, rows: evalFile, format, ...EVALUATION });
  const evaluation = await asked(outputDir);
  const between = [];
  for (let step = often; step < updates; step += often) {
    const { stdout } = await asked(join(outputDir, `checkpoint-${step}`));
    between.push([(step / updates) * trial.numTrainEpochs, JSON.parse(stdout)]);
  }
  return {
    trial,
    metrics: JSON.parse(evaluation.stdout),
    /** Of the same run on its way, its learning rate not yet low: [epoch, metrics]. */
    between,
    evalLoss: log_history.filter((row) => row.eval_loss !== undefined).map((row) => [row.epoch, row.eval_loss]),
    trainLoss: log_history.filter((row) => row.loss !== undefined).map((row) => row.loss),
    trainSeconds: training.seconds,
    evaluateSeconds: evaluation.seconds,
    peakBytes: training.peakBytes,
    cpu: cpus()[0].model.trim(),
  };
}

const until = Date.now() + Number(given.hours) * 3.6e6;
mkdirSync(dirname(given.results), { recursive: true });
for (const [stage, trials] of Object.entries(STAGES)) {
  if (given.only !== undefined && given.only !== stage) continue;
  for (const trial of trials) {
    const done = new Set(
      existsSync(given.results) ? lines(given.results).map((line) => keyOf(JSON.parse(line).trial)) : [],
    );
    if (done.has(keyOf(trial)) || !folders.has(trial.data)) continue;
    if (Date.now() > until) process.exit(0);
    console.error(`${stage}: ${JSON.stringify(trial)}`);
    const result = await measure(trial);
    appendFileSync(given.results, `${JSON.stringify(result)}\n`);
    console.error(
      `  tool_accuracy ${result.metrics.tool_accuracy}, exact_match ${result.metrics.exact_match}, ${result.trainSeconds.toFixed(0)} s`,
    );
  }
}
