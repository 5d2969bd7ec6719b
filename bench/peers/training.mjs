// Training: the same rows, order, batches and precision on all sides, in turns.
/** @import { Settings, Trained } from './contenders.mjs' */
import { runWorker } from '../measure/child.mjs';
import { peakBytesOf } from '../measure/memory.mjs';
import { messageOf } from '../measure/message.mjs';
import { median, ratioOfMedians } from '../measure/statistics.mjs';
import { CONTENDERS, labelOf, peakOfPeer, runPeer } from './contenders.mjs';
import { inTurns } from './turns.mjs';

/**
 * How far losses may differ by rounding, and in how many steps they are compared; losses start near ln(vocabulary), about 12.5. In pure bfloat16
 * only the first step is: the peers round updates to nearest and lose most of them, ours rounds stochastically, so the weights part from there on.
 * @type {Record<string, { tolerance: number, steps: number }>}
 */
const LOSS_PROOF = {
  fp32: { tolerance: 1e-3, steps: Number.POSITIVE_INFINITY },
  amp: { tolerance: 1e-2, steps: Number.POSITIVE_INFINITY },
  bf16: { tolerance: 1e-2, steps: 1 },
};
const OURS = 'gemmatune';

/**
 * @typedef {object} Training
 * @property {string} loss
 * @property {readonly string[]} peers names of CONTENDERS
 * @property {number} sequences of a step
 * @property {(trial: object) => void} found hears of each trial of the search for TRL's fastest settings
 *
 * @typedef {import('../suites/peers.mjs').Call & Training} Call
 *
 * @typedef {object} Contender
 * @property {'trl' | 'transformers'} peer
 * @property {string} label
 * @property {Settings} settings
 *
 * @typedef {Trained & { peakBytes: number }} Run
 */

/**
 * One loss at one precision.
 * @param {Call} call
 * @returns {Promise<object[]>} results: a row for each side, then a ratio for each peer, the fastest first
 */
export async function compareTraining(call) {
  const { loss, precision, rows, model, options, note, skip, signal } = call;
  const contenders = options.search ? await searched(call) : call.peers.map((name) => usual(name, call));
  const { steps, warmup, threads, device, recompute } = options;
  const common = { model, rows, precision, steps, warmup, device, threads };
  const ours = {
    batch: options.batch,
    sequences: call.sequences,
    recompute,
    'tokens-per-pass': options['tokens-per-pass'],
  };
  /** @type {Record<string, () => Promise<Run>>} */
  const sides = {
    [OURS]: async () => {
      const run = await runWorker('train.mjs', { ...common, ...ours }, { signal });
      return { ...run, peakDeviceBytes: null, peakBytes: peakBytesOf(run) };
    },
  };
  for (const { label, peer, settings } of contenders)
    sides[label] = async () => {
      const words = { ...common, ...divided(settings, call.sequences) };
      const run = await runPeer(options.python, peer, words, { signal });
      return { ...run, peakBytes: peakOfPeer(run) };
    };

  const runs = await inTurns(Number(options.rounds), sides, {
    signal,
    enough: call.enough,
    failed: (side, reason) => skip(`${side}, loss ${loss}, ${precision}: ${reason}`),
    done: (side, run, round) => note(`loss ${loss}, ${precision}, round ${round + 1}, ${side}: ${describe(run)}`),
  });
  const measured = Object.entries(runs).filter(([, all]) => all.length > 0);
  if (measured.length < 2) {
    if (call.enough()) skip(`loss ${loss}, ${precision}: the time was over before a round was`);
    return [];
  }
  const known = Object.fromEntries(contenders.map((contender) => [contender.label, contender]));
  const results = measured.map(([label, all]) => ({
    peer: known[label]?.peer ?? OURS,
    label,
    loss,
    precision,
    settings: known[label]?.settings ?? ours,
    sequences: call.sequences,
    tokensPerSecond: median(all.map(({ tokensPerSecond }) => tokensPerSecond)),
    supervisedTokensPerSecond: median(all.map(({ supervisedTokensPerSecond }) => supervisedTokensPerSecond)),
    peakBytes: Math.max(...all.map(({ peakBytes }) => peakBytes)),
    peakMinusBaselineBytes: Math.max(...all.map(({ peakMinusBaselineBytes }) => peakMinusBaselineBytes)),
    cpuSeconds: median(all.flatMap((run) => run.steps.slice(Number(warmup)).map(({ cpuSeconds }) => cpuSeconds))),
    losses: all[0].losses,
    rounds: all.map(({ tokensPerSecond }) => tokensPerSecond),
  }));
  const [first, ...others] = results;
  return [...results, ...others.map((other) => ratio(first, other)).sort((a, b) => a.ratio - b.ratio)];
}

/**
 * @typedef {{ loss: string, precision: string, peer: string, label: string, losses: number[], rounds: number[], peakBytes: number,
 *   peakMinusBaselineBytes: number }} Side
 */

/** @param {Side} ours @param {Side} theirs */
function ratio(ours, theirs) {
  const { loss, precision } = ours;
  const { tolerance, steps } = LOSS_PROOF[precision];
  const compared = ours.losses.slice(0, steps);
  const lossDifference = Math.max(...compared.map((value, step) => Math.abs(value - theirs.losses[step])));
  return {
    ...ratioOfMedians(ours.rounds, theirs.rounds),
    memoryRatio: ours.peakBytes / theirs.peakBytes,
    memoryRatioWithoutRuntimes: ours.peakMinusBaselineBytes / theirs.peakMinusBaselineBytes,
    lossDifference,
    lossSteps: compared.length,
    lossTolerance: tolerance,
    lossesAgree: lossDifference <= tolerance,
    loss,
    precision,
    peer: theirs.peer,
    against: theirs.label,
  };
}

/** @param {string} name @param {Pick<Call, 'options' | 'sequences'>} call */
function usual(name, { options: { batch, checkpointing }, sequences }) {
  const { peer, fixed, usual: own } = CONTENDERS[name];
  const settings = { ...own, ...(checkpointing && { checkpointing }), ...fixed, batch: Number(batch) };
  return contender(peer, settings, sequences);
}

/**
 * No micro-batch is larger than the step.
 * @param {Contender['peer']} peer
 * @param {Settings} chosen
 * @param {number} sequences
 * @returns {Contender}
 */
function contender(peer, chosen, sequences) {
  const settings = { ...chosen, batch: Math.min(chosen.batch, sequences) };
  return { peer, settings, label: labelOf(peer, settings) };
}

/** A micro-batch size as batch and accumulation of a step. @param {Settings} settings @param {number} sequences */
const divided = (settings, sequences) => {
  const batch = Math.min(settings.batch, sequences);
  return { ...settings, batch, accumulation: sequences / batch };
};

/** What is tried, beside its defaults. @type {Partial<Settings>[][]} */
const TRL_SEARCH = [
  [{ 'loss-type': 'nll' }],
  [{ checkpointing: 'off' }],
  [{ batch: 1 }, { batch: 4 }, { batch: 8 }],
  [{ attention: 'eager' }],
];

/** The fastest settings of TRL, changed one at a time from its defaults; other peers with their own. @param {Call} call */
async function searched(call) {
  const { loss, precision, model, rows, options, skip, note, signal, enough, found } = call;
  const others = call.peers.filter((name) => CONTENDERS[name].peer !== 'trl').map((name) => usual(name, call));
  const { python, device, threads } = options;
  const sequences = Number(options['search-sequences']);
  const speed = async (/** @type {Settings} */ settings) => {
    const trial = { model, rows, precision, device, threads, steps: 1, warmup: 0, ...divided(settings, sequences) };
    const label = labelOf('trl', settings);
    try {
      const { tokensPerSecond } = await runPeer(python, 'trl', trial, { signal });
      found({ what: 'search', loss, precision, settings, sequences, tokensPerSecond });
      note(`search, loss ${loss}, ${precision}: ${label}: ${tokensPerSecond.toFixed(1)} tokens/s`);
      return tokensPerSecond;
    } catch (error) {
      signal.throwIfAborted();
      skip(`search, ${label}, loss ${loss}, ${precision}: ${messageOf(error)}`);
      return 0;
    }
  };
  /** @type {Settings} */
  let best = { 'loss-type': 'chunked_nll', checkpointing: 'on', batch: 2, attention: 'sdpa' };
  let fastest = await speed(best);
  for (const changes of TRL_SEARCH)
    for (const settings of changes.map((change) => ({ ...best, ...change }))) {
      if (enough()) continue;
      const tokensPerSecond = await speed(settings);
      if (tokensPerSecond > fastest) [best, fastest] = [settings, tokensPerSecond];
    }
  return [contender('trl', best, call.sequences), ...others];
}

/** @param {Run} run */
function describe(run) {
  const losses = run.losses.map((value) => value.toFixed(4)).join(' ');
  return `${run.tokensPerSecond.toFixed(1)} tokens/s, ${(run.peakResidentBytes / 2 ** 30).toFixed(2)} GiB, losses ${losses}`;
}
