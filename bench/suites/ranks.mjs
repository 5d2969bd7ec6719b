// Several processes that train one model on this machine, against one process with as many threads: what sharing costs, and how much of it hides.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runWorker } from '../measure/child.mjs';
import { modelConfig, modelFolder } from '../measure/model.mjs';
import { chosen, MODEL } from '../measure/options.mjs';
import { median } from '../measure/statistics.mjs';
import { LOSSES, ROW_OPTIONS, rowsFile } from '../measure/workload.mjs';

/** How gradients are shared. */
const SHARINGS = ['sharded', 'whole'];

const OPTIONS = {
  ...MODEL,
  ...ROW_OPTIONS,
  losses: { default: 'full,completion', help: 'Which tokens are learnt: full, completion or both.' },
  size: { default: '2', help: 'Ranks.' },
  sharings: {
    default: 'sharded,whole',
    help: 'sharded (each rank has a part of the model), whole, or both.',
  },
  wire: { default: 'float32', help: 'Gradients on the link: float32 or bfloat16.' },
  dtype: { default: 'auto', help: 'bfloat16, float32 or auto.' },
  batch: { default: '2', help: 'Sequences of a micro-batch.' },
  sequences: { default: '16', help: 'Sequences of a step, on all ranks together.' },
  steps: { default: '3', help: 'Optimizer steps, the first of which does not count.' },
  rounds: { default: '2', help: 'How often each is measured, in turns.' },
};

/** @type {import('./index.mjs').Suite<typeof OPTIONS>} */
export const ranks = {
  summary:
    'Several ranks of one thread against one rank of as many threads: tokens/s, bytes sent, how much of the exchange hides.',
  options: OPTIONS,
  short: { losses: 'completion', sharings: 'sharded', sequences: '8', steps: '2', rounds: '1' },

  async run(options, { note, signal }) {
    const { losses, rows, dataset, tokenizer, size, sharings, rounds, ...settings } = options;
    const model = await modelFolder(options.model, note);
    const config = await modelConfig(model);
    const results = [];
    for (const loss of chosen('--losses', losses, LOSSES)) {
      const file = await rowsFile({ rows, dataset, tokenizer }, { loss, config });
      const shared = { ...settings, model, rows: file, warmup: 1 };
      const kinds = chosen('--sharings', sharings, SHARINGS).map((kind) => ({
        kind,
        runs: /** @type {Run[][]} */ ([]),
      }));
      /** @type {Run[]} */
      const alone = [];
      for (let round = 0; round < Number(rounds); round++) {
        alone.push(await runWorker('train.mjs', { ...shared, threads: size }, { signal }));
        for (const { kind, runs } of kinds)
          runs.push(await together(Number(size), { ...shared, whole: kind === 'whole' }, signal));
      }
      for (const { kind, runs } of kinds) {
        const result = { loss, sharing: kind, size: Number(size), ...summary(alone, runs) };
        results.push(result);
        note(describe(result));
      }
    }
    return { settings: options, results, bars: [] };
  },
};

/** @typedef {import('../workers/train.mjs').Printed} Run */

/**
 * One run of ranks of one thread each.
 * @param {number} size
 * @param {Record<string, string | number | boolean>} options
 * @param {AbortSignal} signal
 * @returns {Promise<Run[]>} by rank
 */
async function together(size, options, signal) {
  const folder = await mkdtemp(join(tmpdir(), 'gemmatune-bench-'));
  try {
    const place = { 'world-size': size, address: `unix:${join(folder, 'ranks')}`, threads: 1 };
    const rank = (/** @type {number} */ rank) => runWorker('train.mjs', { ...options, ...place, rank }, { signal });
    return await Promise.all(Array.from({ length: size }, (_, r) => rank(r)));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** @param {Run[]} alone @param {Run[][]} runs by round, then by rank */
function summary(alone, runs) {
  const speed = median(runs.map(([first]) => first.tokensPerSecond));
  const speedAlone = median(alone.map(({ tokensPerSecond }) => tokensPerSecond));
  // Rounds were taken in turns, so that a ratio compares what ran side by side.
  const ratios = runs.map(([first], round) => first.tokensPerSecond / alone[round].tokensPerSecond);
  const steps = runs.flatMap((ranks) => ranks.flatMap((each) => each.steps.slice(1)));
  const of = (/** @type {keyof Run['steps'][number]['traffic']} */ field) =>
    median(steps.map(({ traffic }) => traffic[field]));
  return {
    collectives: runs[0][0].collectives,
    dtype: runs[0][0].settings.dtype,
    tokensPerSecond: speed,
    tokensPerSecondAlone: speedAlone,
    ratio: median(ratios),
    stepSeconds: median(runs.map(([first]) => first.medianStepSeconds)),
    collectivesOfStep: of('collectives'),
    bytesOfStep: of('bytes'),
    busySeconds: of('busy'),
    waitedSeconds: of('waited'),
    peakBytes: median(runs.flatMap((ranks) => ranks.map((each) => each.peakResidentBytes))),
    peakBytesAlone: median(alone.map(({ peakResidentBytes }) => peakResidentBytes)),
  };
}

/** @param {ReturnType<typeof summary> & { loss: string, sharing: string, size: number }} result */
function describe({
  loss,
  sharing,
  size,
  tokensPerSecond,
  tokensPerSecondAlone,
  ratio,
  bytesOfStep,
  busySeconds,
  waitedSeconds,
  stepSeconds,
}) {
  const megabytes = (bytesOfStep / 1e6).toFixed(0);
  return (
    `${loss}, ${sharing}: ${size} ranks ${tokensPerSecond.toFixed(0)} tokens/s, one rank ${tokensPerSecondAlone.toFixed(0)} (${ratio.toFixed(2)}x); ` +
    `a step of ${stepSeconds.toFixed(2)} s sends ${megabytes} MB in ${busySeconds.toFixed(2)} s and stands still for ${waitedSeconds.toFixed(2)} s`
  );
}
