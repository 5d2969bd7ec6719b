// Runs the trials that have no result yet, one after the other, each as a person would: `gemmatune finetune`, then `gemmatune evaluate` on
// rows that were not trained on.
//
//   node tools/settings/run.mjs --base build/real-base --data hermes=DIR --data home=DIR [--only STAGE] [--hours H] [--results FILE]
//
// DIR holds train.jsonl and eval.jsonl. A trial's rows are the first N of train.jsonl in an order drawn from its seed. Results: a line of JSON each,
// appended when a trial is done, so a run that is stopped goes on where it was.
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { EVALUATION, STAGES } from './trials.mjs';

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
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());

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

/** Runs the program with --json. @returns what it prints */
async function gemmatune(command, options) {
  const words = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = spawn(process.execPath, [program, command, ...words, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: stop.signal,
    killSignal: 'SIGKILL',
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (text) => (out += text));
  child.stderr.on('data', (text) => (err = (err + text).slice(-2000)));
  const status = await new Promise((done, fail) => child.on('close', done).on('error', fail));
  if (status !== 0) throw new Error(`gemmatune ${command} ${words.join(' ')}: status ${status}\n${err}`);
  return JSON.parse(out);
}

async function measure(trial) {
  const { data, rows, ...settings } = trial;
  const folder = folders.get(data);
  const work = mkdtempSync(join(tmpdir(), 'gemmatune-settings-'));
  try {
    const evalRows = join(folder, 'eval.jsonl');
    writeFileSync(
      join(work, 'train.jsonl'),
      `${drawn(lines(join(folder, 'train.jsonl')), rows, trial.seed).join('\n')}\n`,
    );
    const output = join(work, 'model');
    const start = Date.now();
    const options = Object.fromEntries(
      Object.entries(settings).map(([name, value]) => [name.replaceAll(/[A-Z]/g, (c) => `-${c.toLowerCase()}`), value]),
    );
    await gemmatune('finetune', {
      model: given.base,
      train: join(work, 'train.jsonl'),
      'eval-file': evalRows,
      'output-dir': output,
      'logging-steps': 1,
      'save-strategy': 'no',
      ...options,
    });
    const trained = Date.now();
    const state = JSON.parse(readFileSync(join(output, 'trainer_state.json'), 'utf8'));
    const format = settings.format === undefined ? {} : { format: settings.format };
    const metrics = await gemmatune('evaluate', { model: output, rows: evalRows, ...EVALUATION, ...format });
    return {
      trial,
      metrics,
      updates: state.global_step,
      evalLoss: state.log_history.filter((row) => row.eval_loss !== undefined).map((row) => [row.epoch, row.eval_loss]),
      trainLoss: state.log_history.filter((row) => row.loss !== undefined).map((row) => row.loss),
      trainSeconds: (trained - start) / 1000,
      evaluateSeconds: (Date.now() - trained) / 1000,
      cpu: cpus()[0].model.trim(),
    };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
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
    if (stop.signal.aborted || Date.now() > until) process.exit(0);
    console.error(`${stage}: ${JSON.stringify(trial)}`);
    const result = await measure(trial);
    appendFileSync(given.results, `${JSON.stringify(result)}\n`);
    console.error(
      `  tool_accuracy ${result.metrics.tool_accuracy}, exact_match ${result.metrics.exact_match}, ${result.trainSeconds.toFixed(0)} s`,
    );
  }
}
