// Greedy generation: the same prompts and number of new tokens on both sides, in turns; each side at its best batch size.
import { runWorker } from '../measure/child.mjs';
import { peakBytesOf } from '../measure/memory.mjs';
import { median, ratioOfMedians } from '../measure/statistics.mjs';
import { peakOfPeer, runPeer } from './contenders.mjs';
import { inTurns } from './turns.mjs';

const OURS = 'gemmatune';
const THEIRS = 'transformers generate';
/** Where ours is fastest on two cores; beyond this it gains nothing for 50 prompts. */
const OUR_BATCH = 64;

/**
 * @param {import('../suites/peers.mjs').Call} call
 * @returns {Promise<object[]>} a row for each side and their ratio
 */
export async function compareGeneration({ precision, model, rows, options, enough, skip, note, signal }) {
  const { threads, device, python } = options;
  const common = {
    model,
    rows,
    device,
    threads,
    prompts: options['generate-rows'],
    'new-tokens': options['new-tokens'],
    ids: true,
  };
  const dtype = precision === 'bf16' ? 'bfloat16' : 'float32';
  /** @type {{ try: string } | { batch: number }} */
  let batchSize = { try: options['generate-batches'] };
  /** @type {Record<string, number> | undefined} */
  let tried;
  const runs = await inTurns(
    Number(options.rounds),
    {
      [OURS]: async () => {
        const run = await runWorker('generate.mjs', { ...common, dtype, batch: OUR_BATCH }, { signal });
        return { ...runOf(run), peakBytes: peakBytesOf(run) };
      },
      [THEIRS]: async () => {
        const run = await runPeer(python, 'generate', { ...common, precision, ...batchSize }, { signal });
        tried ??= run.secondsPerPromptByBatch;
        batchSize = { batch: run.settings.batch };
        return { ...runOf(run), peakBytes: peakOfPeer(run) };
      },
    },
    {
      signal,
      enough,
      failed: (side, reason) => skip(`${side}, ${precision}: ${reason}`),
      done: (side, run, round) =>
        note(`generate, ${precision}, round ${round + 1}, ${side}: ${run.tokensPerSecond.toFixed(1)} tokens/s`),
    },
  );
  if (!runs[THEIRS]?.length) return [];
  const sideOf = (/** @type {string} */ label, /** @type {object} */ settings) => ({
    what: 'generate',
    peer: label === OURS ? OURS : 'transformers',
    label,
    precision,
    settings: { ...settings, prompts: runs[label][0].ids.length, newTokens: Number(options['new-tokens']) },
    tokensPerSecond: median(runs[label].map(({ tokensPerSecond }) => tokensPerSecond)),
    seconds: median(runs[label].flatMap(({ seconds }) => seconds)),
    peakBytes: Math.max(...runs[label].map(({ peakBytes }) => peakBytes)),
    rounds: runs[label].map(({ tokensPerSecond }) => tokensPerSecond),
  });
  const ours = sideOf(OURS, { batch: OUR_BATCH });
  const theirs = sideOf(THEIRS, { ...batchSize, secondsPerPromptByBatch: tried });
  return [
    ours,
    theirs,
    {
      what: 'generate',
      ...ratioOfMedians(ours.rounds, theirs.rounds),
      memoryRatio: ours.peakBytes / theirs.peakBytes,
      equalIds: equalShare(runs[OURS][0].ids, runs[THEIRS][0].ids),
      precision,
      against: THEIRS,
    },
  ];
}

/** Tokens a second: new ones, prefill included. @param {{ newTokens: number, seconds: number[], ids?: number[][] }} run */
const runOf = ({ newTokens, seconds, ids = [] }) => ({ tokensPerSecond: newTokens / median(seconds), seconds, ids });

/** Share of positions with the same id; behind a row's first difference little is equal. @param {number[][]} ours @param {number[][]} theirs */
function equalShare(ours, theirs) {
  const equal = ours.flatMap((ids, row) => ids.filter((id, at) => id === theirs[row][at])).length;
  return equal / ours.flat().length;
}
