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
 * @param {{ precision: 'bf16' | 'fp32', model: string, rows: string, options: object, enough: () => boolean,
 *   skip: (sentence: string) => void, note: (line: string) => void, signal: AbortSignal }} call
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
  let batchSize = { try: options['generate-batches'] };
  let tried;
  const runs = await inTurns(
    Number(options.rounds),
    {
      [OURS]: () => runWorker('generate.mjs', { ...common, dtype, batch: OUR_BATCH }, { signal }),
      [THEIRS]: async () => {
        const run = await runPeer(python, 'generate', { ...common, precision, ...batchSize }, { signal });
        tried ??= run.secondsPerPromptByBatch;
        batchSize = { batch: run.settings.batch };
        return run;
      },
    },
    {
      signal,
      enough,
      failed: (side, error) => skip(`${side}, ${precision}: ${error.message}`),
      done: (side, run, round) =>
        note(`generate, ${precision}, round ${round + 1}, ${side}: ${speedOf(run).toFixed(1)} tokens/s`),
    },
  );
  if (!runs[THEIRS]?.length) return [];
  const sideOf = (label, settings, peakBytes) => ({
    what: 'generate',
    peer: label === OURS ? OURS : 'transformers',
    label,
    precision,
    settings: { ...settings, prompts: runs[label][0].ids.length, newTokens: Number(options['new-tokens']) },
    tokensPerSecond: median(runs[label].map(speedOf)),
    seconds: median(runs[label].flatMap(({ seconds }) => seconds)),
    peakBytes: Math.max(...runs[label].map(peakBytes)),
    rounds: runs[label].map(speedOf),
  });
  const ours = sideOf(OURS, { batch: OUR_BATCH }, peakBytesOf);
  const theirs = sideOf(THEIRS, { ...batchSize, secondsPerPromptByBatch: tried }, peakOfPeer);
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

/** New tokens a second, prefill included. */
const speedOf = ({ newTokens, seconds }) => newTokens / median(seconds);

/** Share of positions with the same id; behind a row's first difference little is equal. */
function equalShare(ours, theirs) {
  const equal = ours.flatMap((ids, row) => ids.filter((id, at) => id === theirs[row][at])).length;
  return equal / ours.flat().length;
}
