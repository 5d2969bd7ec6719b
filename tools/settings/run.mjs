// Runs the trials that have no result yet, one after the other, each as a person would: `gemmatune finetune`, then `gemmatune evaluate` on
// rows that were not trained on.
//
//   node tools/settings/run.mjs --base build/real-base --data hermes=DIR --data home=DIR [--only STAGE] [--hours H] [--results FILE]
//
// DIR holds train.jsonl and eval.jsonl. A trial's rows are the first N of train.jsonl in an order drawn from its seed. Results: a line of JSON each,
// appended when a trial is done, so a run that is stopped goes on where it was.
/** @import { Trial } from './trials.mjs' */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measured, words } from '../measured.mjs';
import { Random } from '../quickstart/random.mjs';
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
/** @type {Map<string, string>} */
const folders = new Map(
  given.data.map((pair) => {
    const [name, folder] = pair.split('=');
    return [name, folder];
  }),
);

/** Rows and model of the trial that runs, or ran last. */
const work = join(root, 'build/settings');

const lines = (/** @type {string} */ path) => readFileSync(path, 'utf8').trimEnd().split('\n');
const keyOf = (/** @type {Trial} */ trial) =>
  JSON.stringify(Object.entries(trial).sort(([a], [b]) => (a < b ? -1 : 1)));

/** The first `count` of `rows` after a shuffle. @param {string[]} rows @param {number} count @param {number} seed */
function drawn(rows, count, seed) {
  const random = new Random(seed);
  const all = [...rows];
  for (let i = 0; i < count; i++) {
    const at = random.integer(i, all.length - 1);
    [all[i], all[at]] = [all[at], all[i]];
  }
  return all.slice(0, count);
}

/** @param {string} command @param {Record<string, unknown>} options */
const gemmatune = (command, options) => measured(process.execPath, [program, command, ...words(options), '--json']);

/** @param {Trial} trial */
async function measure(trial) {
  const { data, rows, ...settings } = trial;
  const folder = folders.get(data) ?? '';
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
  /** @type {{ log_history: { epoch: number, loss?: number, eval_loss?: number }[] }} */
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
