// The tutorial's job, part by part, as a person would do it: evaluate the base, train, evaluate what was saved. By us and by TRL, on the same rows.
//
//   node tools/tutorial/run.mjs --data DIR [--base build/real-base] [--python build/venv/bin/python] [RUN …]
//
// DIR holds train.jsonl and eval.jsonl of prepare. RUN is one of runs.mjs; without any, all that are not done. Each part adds a line of JSON to
// bench/results/tutorial/parts.jsonl when it is done, so a run that is stopped goes on where it was; logs and calls lie beside it. TRL's training
// goes on from its newest checkpoint. Models: build/tutorial/RUN.
import { appendFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { judge, questionOf, score } from '../../packages/eval/dist/index.js';
import { readLines, writeLines } from '../json-lines.mjs';
import { measured, words } from '../measured.mjs';
import { MAX_NEW_TOKENS, RUNS } from './runs.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const program = join(root, 'packages/cli/bin/gemmatune.mjs');
const results = join(root, 'bench/results/tutorial');

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    base: { type: 'string', default: join(root, 'build/real-base') },
    data: { type: 'string', default: '' },
    python: { type: 'string', default: join(root, 'build/venv/bin/python') },
  },
});
if (given.data === '') throw new Error('--data is missing: the folder that prepare made');

const train = join(given.data, 'train.jsonl');
const evalRows = join(given.data, 'eval.jsonl');
const partsFile = join(results, 'parts.jsonl');
/** @param {string} command @param {Record<string, unknown>} options */
const gemmatune = (command, options) => measured(process.execPath, [program, command, ...words(options), '--json']);
const python = (/** @type {string[]} */ ...args) =>
  measured(given.python, [join(root, 'tools/tutorial/trl.py'), ...args]);

/**
 * @typedef {{ trl?: string, gemmatune?: Record<string, unknown>, format: unknown, dtype: unknown }} How
 *
 * @typedef {{ seconds: number, cpuSeconds: number, peakBytes: number, metrics?: Record<string, number | null> } & Record<string, unknown>} Part
 */

/**
 * Calls of a model folder for all evaluation rows, kept in `name`.calls.jsonl.
 * @param {How} how
 * @param {string} model
 * @param {number} maxNewTokens
 * @param {string} name
 * @returns {Promise<Part>}
 */
async function evaluate({ trl, format, dtype }, model, maxNewTokens, name) {
  const calls = join(results, `${name}.calls.jsonl`);
  if (trl === undefined) {
    const { stdout, ...took } = await gemmatune('evaluate', {
      model,
      rows: evalRows,
      n: 1000,
      maxNewTokens,
      dtype,
      format,
      predictions: calls,
      overwrite: true,
    });
    writeLines(
      calls,
      readLines(calls).map(({ text, gold_text }) => ({ text, gold_text })),
    );
    return { ...took, metrics: JSON.parse(stdout) };
  }
  const { stdout: _, ...took } = await python(
    ...['evaluate', '--model', model, '--rows', evalRows],
    ...['--max-new-tokens', String(maxNewTokens), '--out', calls],
  );
  const rows = readLines(evalRows);
  const predictions = readLines(calls).map(({ text }, i) => judge(questionOf(rows[i], 'tutorial'), text));
  writeLines(
    calls,
    predictions.map(({ text, goldBlock }) => ({ text, gold_text: goldBlock })),
  );
  return { ...took, metrics: { n_eval: predictions.length, ...score(predictions).metrics } };
}

/** @param {How} how @param {string} model @param {string} name @returns {Promise<Part>} */
async function learn({ trl, gemmatune: options }, model, name) {
  const logFile = join(results, `${name}.log.jsonl`);
  if (trl === undefined) {
    rmSync(model, { recursive: true, force: true });
    const { stdout, ...took } = await gemmatune('finetune', {
      model: given.base,
      train,
      evalFile: evalRows,
      outputDir: model,
      saveStrategy: 'no',
      ...options,
    });
    writeLines(logFile, JSON.parse(readFileSync(join(model, 'trainer_state.json'), 'utf8')).log_history);
    const { train_rows, by_rows, tokens, seconds: trainingSeconds } = JSON.parse(stdout);
    return { ...took, train_rows, by_rows, tokens, trainingSeconds };
  }
  const { stdout: _, ...took } = await python(
    ...['train', '--model', given.base, '--rows', train, '--eval-rows', evalRows],
    ...['--out', model, '--precision', trl],
  );
  // A training that was stopped did some updates twice: the later counts. Its summary is of the last part alone.
  const rows = new Map(readLines(join(model, 'log.jsonl')).map((row) => [`${row.step} ${Object.keys(row)[0]}`, row]));
  const log = [...rows.values()].filter((row) => row.train_runtime === undefined);
  writeLines(
    logFile,
    log.map(({ seconds: _seconds, cpu_seconds: _cpu, ...row }) => row),
  );
  const sum = (/** @type {'seconds' | 'cpu_seconds'} */ key) => log.reduce((total, row) => total + row[key], 0);
  return {
    ...took,
    seconds: sum('seconds'),
    cpuSeconds: sum('cpu_seconds'),
    train_rows: readLines(train).length,
    trainingSeconds: sum('seconds'),
  };
}

for (const name of positionals)
  if (!(name in RUNS)) throw new Error(`no run is called ${name}; there are ${Object.keys(RUNS).join(', ')}`);
mkdirSync(results, { recursive: true });
for (const name of positionals.length > 0 ? positionals : Object.keys(RUNS)) {
  const run = RUNS[name];
  const model = join(root, 'build/tutorial', name);
  const { format = 'tutorial', dtype } = run.gemmatune ?? {};
  const how = { ...run, format, dtype };
  const parts = {
    ...(run.baseline === undefined && {
      before: () => evaluate(how, given.base, MAX_NEW_TOKENS.before, `${name}.before`),
    }),
    train: () => learn(how, model, name),
    after: () => evaluate(how, model, MAX_NEW_TOKENS.after, `${name}.after`),
  };
  for (const [part, work] of Object.entries(parts)) {
    if (readLines(partsFile).some((done) => done.run === name && done.part === part)) continue;
    console.error(`${name}: ${part}`);
    const result = await work();
    appendFileSync(
      partsFile,
      `${JSON.stringify({ run: name, part, cpu: cpus()[0].model.trim(), date: new Date().toISOString(), ...result })}\n`,
    );
    console.error(
      `  ${result.seconds.toFixed(0)} s, ${(result.peakBytes / 2 ** 30).toFixed(2)} GiB${result.metrics ? `, right tool ${result.metrics.tool_accuracy}` : ''}`,
    );
  }
}
