/** @import { Printed, Stages } from '../workers/prepare.mjs' */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { runWorker } from '../measure/child.mjs';
import { modelFolder } from '../measure/model.mjs';
import { exponentOf } from '../measure/power-law.mjs';
import { median } from '../measure/statistics.mjs';

const COMMAND = fileURLToPath(new URL('../../packages/cli/bin/gemmatune.mjs', import.meta.url));
/** Ships with the project; a real vocabulary is 1,000 times larger. */
const TINY_TOKENIZER = fileURLToPath(new URL('../../packages/cli/assets/quickstart/model', import.meta.url));

/** Of the shape that loading is promised for. */
const PARAMETERS_270M = 268_098_176;

const BARS = { rows: 50_000, rowSeconds: 30, memoryGrowth: 0.25, helpSeconds: 0.2, loadSeconds: 1 };

const OPTIONS = {
  rows: { default: '5000,50000', help: 'How many source rows; several show whether memory grows.' },
  dataset: {
    default: '',
    help: 'Hermes-style JSON lines to repeat with other words; made from the quickstart rows without it.',
  },
  tokenizer: {
    default: '',
    help: "A tokenizer.json or its folder; the quickstart's small one without it.",
  },
  model: { default: '', help: 'Model folder to load; random weights of the 270M shape without it.' },
  runs: { default: '5', help: 'Repetitions of start-up and loading; medians count.' },
};

/** @type {import('./index.mjs').Suite<typeof OPTIONS>} */
export const pipeline = {
  summary: 'Data to token ids: rows/s and peak memory by rows; tokenizer; start-up; loading of the model.',
  options: OPTIONS,
  short: { rows: '5000', runs: '3' },

  async run(options, { note, signal }) {
    const scratch = await mkdtemp(join(tmpdir(), 'gemmatune-bench-'));
    const counts = options.rows.split(',').map(Number);
    const tokenizer = options.tokenizer || TINY_TOKENIZER;
    const runs = Number(options.runs);
    try {
      /** @type {Record<string, any>[]} */
      const results = [];
      for (const rows of counts) {
        results.push(...(await stages({ rows, dataset: options.dataset, tokenizer, scratch }, signal)));
        for (const result of results.slice(-4)) note(describeStage(result));
      }
      results.push(...(await tokenizerAlone(join(scratch, `prepared-${counts[0]}`), tokenizer, signal)));
      results.push(...(await startUp(runs, signal)));
      results.push(...(await loading(await modelFolder(options.model, note), runs, signal)));
      for (const { what, command, dtype, trainable, seconds } of results.filter((result) => result.rows === undefined))
        if (seconds !== undefined)
          note(
            `${[what, command, dtype, trainable && 'trainable'].filter(Boolean).join(' ')}: ${seconds.toFixed(3)} s`,
          );
      return { settings: shown(options), results, bars: bars(results) };
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  },
};

/** The settings without places of this machine. */
function shown({ dataset, tokenizer, model, ...rest }) {
  const named = (path, otherwise) => (path === '' ? otherwise : basename(path));
  return {
    ...rest,
    dataset: named(dataset, 'quickstart'),
    tokenizer: named(tokenizer, 'quickstart'),
    model: named(model, 'random weights of the 270M shape'),
  };
}

/**
 * @template {keyof Stages} Name
 * @param {Name} name
 * @param {Record<string, string>} options
 * @param {AbortSignal} signal
 * @returns {Promise<Printed<Name>>}
 */
async function stage(name, options, signal) {
  return /** @type {Printed<Name>} */ (await runWorker('prepare.mjs', { stage: name, ...options }, { signal }));
}

/**
 * From a data set to ids, one child a stage.
 * @param {{ rows: number, dataset: string, tokenizer: string, scratch: string }} source
 * @param {AbortSignal} signal
 */
async function stages({ rows, dataset, tokenizer, scratch }, signal) {
  const source = join(scratch, `source-${rows}.jsonl`);
  const out = join(scratch, `prepared-${rows}`);
  const { bytes } = await runWorker('hermes-rows.mjs', { rows, out: source, dataset }, { signal });
  const prepared = await stage('prepare', { dataset: source, out }, signal);
  await rm(source);
  const made = { rows: join(out, 'train.jsonl'), tokenizer };
  const tokenized = await stage('tokenize', made, signal);
  const encoded = await stage('encode', made, signal);
  const both = {
    seconds: prepared.seconds + tokenized.seconds,
    cpuSeconds: prepared.cpuSeconds + tokenized.cpuSeconds,
    peakBytes: Math.max(prepared.peakBytes, tokenized.peakBytes),
  };
  /** @template {{ seconds: number }} Measured @param {string} what @param {Measured} measured */
  const result = (what, measured) => ({ ...measured, what, rows, rowsPerSecond: rows / measured.seconds });
  const { usable } = prepared;
  return [
    result('prepare', { ...prepared, sourceBytes: bytes }),
    result('tokenize', { ...tokenized, usable, tokensPerSecond: tokenized.tokens / tokenized.seconds }),
    result('prepare+tokenize', both),
    result('encode for training', { ...encoded, usable }),
  ];
}

/** @param {Record<string, any>} result */
function describeStage({ what, rows, seconds, rowsPerSecond, peakBytes }) {
  return `${what}, ${rows} rows: ${seconds.toFixed(2)} s, ${rowsPerSecond.toFixed(0)} rows/s, ${(peakBytes / 2 ** 20).toFixed(0)} MiB`;
}

/** @param {string} prepared a folder @param {string} tokenizer @param {AbortSignal} signal */
async function tokenizerAlone(prepared, tokenizer, signal) {
  const rows = join(prepared, 'train.jsonl');
  const { texts, tokens, ...measured } = await stage('tokenizer', { rows, tokenizer }, signal);
  const work = (/** @type {string} */ what, /** @type {number} */ seconds) => ({
    what,
    texts,
    tokens,
    seconds,
    tokensPerSecond: tokens / seconds,
  });
  return [
    work('tokenizer encode, first time', measured.firstEncodeSeconds),
    work('tokenizer encode', measured.encodeSeconds),
    work('tokenizer decode', measured.decodeSeconds),
    { what: 'tokenizer load, first time', seconds: measured.firstLoadSeconds },
    { what: 'tokenizer load', seconds: measured.cachedLoadSeconds },
  ];
}

/** Whole commands, from the start of their process to its end. @param {number} runs @param {AbortSignal} signal */
async function startUp(runs, signal) {
  const results = [];
  for (const words of [['--help'], ['prepare', '--help'], ['finetune', '--help'], ['doctor']]) {
    const seconds = [];
    for (let run = 0; run <= runs; run++) {
      const began = performance.now();
      await promisify(execFile)(process.execPath, [COMMAND, ...words], { signal });
      seconds.push((performance.now() - began) / 1e3);
    }
    // The first one reads the files from the disk.
    results.push({ what: 'start-up', command: `gemmatune ${words.join(' ')}`, seconds: median(seconds.slice(1)) });
  }
  return results;
}

/**
 * @param {string} model its file is read once before it counts: from memory, not from a disk
 * @param {number} runs
 * @param {AbortSignal} signal
 */
async function loading(model, runs, signal) {
  const results = [];
  for (const settings of [{ dtype: 'bfloat16' }, { dtype: 'bfloat16', trainable: true }, { dtype: 'float32' }]) {
    /** @type {import('../workers/load.mjs').Printed[]} */
    const loads = [];
    for (let run = 0; run <= runs; run++) loads.push(await runWorker('load.mjs', { model, ...settings }, { signal }));
    const of = (/** @type {'seconds' | 'userSeconds' | 'systemSeconds' | 'peakBytes'} */ field) =>
      median(loads.slice(1).map((load) => load[field]));
    results.push({
      what: 'load',
      trainable: false,
      ...settings,
      parameters: loads[0].parameters,
      seconds: of('seconds'),
      userSeconds: of('userSeconds'),
      systemSeconds: of('systemSeconds'),
      peakBytes: of('peakBytes'),
    });
  }
  return results;
}

/** What is promised, where it was measured. @param {Record<string, any>[]} results */
function bars(results) {
  /** @param {string} what @param {number} most @param {number} value @param {string} unit */
  const bar = (what, most, value, unit) => ({ what, bar: most, value, unit, met: value <= most });
  const seconds = results
    .filter(({ what, rows }) => what === 'prepare+tokenize' && rows === BARS.rows)
    .map((result) => bar('prepare and tokenize 50,000 rows', BARS.rowSeconds, result.seconds, 's'));
  const growth = ['prepare', 'tokenize'].flatMap((stage) => {
    const own = results.filter(({ what }) => what === stage).sort((a, b) => a.rows - b.rows);
    if (own[0].rows === own[own.length - 1].rows) return [];
    const power = exponentOf(own.map(({ rows, peakBytes }) => ({ x: rows, y: peakBytes })));
    return [bar(`peak memory of ${stage} grows with rows to the power of`, BARS.memoryGrowth, power, '')];
  });
  const help = results
    .filter(({ command }) => command === 'gemmatune --help')
    .map((result) => bar('gemmatune --help', BARS.helpSeconds, result.seconds, 's'));
  const loads = results
    .filter(({ what, dtype, parameters }) => what === 'load' && dtype === 'bfloat16' && parameters === PARAMETERS_270M)
    .map(({ trainable, seconds }) =>
      bar(`loading 270M${trainable ? ' to train' : ''} (bfloat16)`, BARS.loadSeconds, seconds, 's'),
    );
  return [...seconds, ...growth, ...help, ...loads];
}
