// Training: the same rows, order, batches and precision on all sides, in turns.
import { runWorker } from '../measure/child.mjs';
import { peakBytesOf } from '../measure/memory.mjs';
import { median, ratioOfMedians } from '../measure/statistics.mjs';
import { CONTENDERS, labelOf, peakOfPeer, runPeer } from './contenders.mjs';
import { inTurns } from './turns.mjs';

/**
 * How far losses may differ by rounding, and in how many steps they are compared; losses start near ln(vocabulary), about 12.5. In pure bfloat16
 * only the first step is: the peers round updates to nearest and lose most of them, ours rounds stochastically, so the weights part from there on.
 */
export const LOSS_PROOF = {
  fp32: { tolerance: 1e-3, steps: Number.POSITIVE_INFINITY },
  amp: { tolerance: 1e-2, steps: Number.POSITIVE_INFINITY },
  bf16: { tolerance: 1e-2, steps: 1 },
};
const OURS = 'gemmatune';

/**
 * One loss at one precision.
 * @param {{ loss: string, precision: string, model: string, rows: string, peers: string[], sequences: number, options: object,
 *   enough: () => boolean, skip: (sentence: string) => void, note: (line: string) => void, signal: AbortSignal }} call
 *   options: those of the suite; sequences: of a step
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
  const sides = { [OURS]: () => runWorker('train.mjs', { ...common, ...ours }, { signal }) };
  for (const { label, peer, settings } of contenders)
    sides[label] = () => runPeer(options.python, peer, { ...common, ...divided(settings, call.sequences) }, { signal });

  const runs = await inTurns(Number(options.rounds), sides, {
    signal,
    enough: call.enough,
    failed: (side, error) => skip(`${side}, loss ${loss}, ${precision}: ${error.message}`),
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
    peakBytes: Math.max(...all.map(label === OURS ? peakBytesOf : peakOfPeer)),
    peakMinusBaselineBytes: Math.max(...all.map(({ peakMinusBaselineBytes }) => peakMinusBaselineBytes)),
    cpuSeconds: median(all.flatMap((run) => run.steps.slice(Number(warmup)).map(({ cpuSeconds }) => cpuSeconds))),
    losses: all[0].losses,
    rounds: all.map(({ tokensPerSecond }) => tokensPerSecond),
  }));
  const [first, ...others] = results;
  return [...results, ...others.map((other) => ratio(first, other)).sort((a, b) => a.ratio - b.ratio)];
}

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

function usual(name, { options: { batch, checkpointing }, sequences }) {
  const { peer, fixed, usual: own } = CONTENDERS[name];
  const settings = { ...own, ...(checkpointing && { checkpointing }), ...fixed, batch: Number(batch) };
  return contender(peer, settings, sequences);
}

/** No micro-batch is larger than the step. */
function contender(peer, chosen, sequences) {
  const settings = { ...chosen, batch: Math.min(chosen.batch, sequences) };
  return { peer, settings, label: labelOf(peer, settings) };
}

/** A micro-batch size as batch and accumulation of a step. */
const divided = (settings, sequences) => {
  const batch = Math.min(settings.batch, sequences);
  return { ...settings, batch, accumulation: sequences / batch };
};

const TRL_SEARCH = {
  'loss-type': ['chunked_nll', 'nll'],
  checkpointing: ['on', 'off'],
  batch: [2, 1, 4, 8],
  attention: ['sdpa', 'eager'],
};

/** The fastest settings of TRL, changed one at a time from its defaults; other peers with their own. */
async function searched(call) {
  const { loss, precision, model, rows, options, skip, note, signal, enough, found } = call;
  const others = call.peers.filter((name) => CONTENDERS[name].peer !== 'trl').map((name) => usual(name, call));
  const { python, device, threads } = options;
  const sequences = Number(options['search-sequences']);
  const speed = async (settings) => {
    const trial = { model, rows, precision, device, threads, steps: 1, warmup: 0, ...divided(settings, sequences) };
    const label = labelOf('trl', settings);
    try {
      const { tokensPerSecond } = await runPeer(python, 'trl', trial, { signal });
      found({ what: 'search', loss, precision, settings, sequences, tokensPerSecond });
      note(`search, loss ${loss}, ${precision}: ${label}: ${tokensPerSecond.toFixed(1)} tokens/s`);
      return tokensPerSecond;
    } catch (error) {
      signal.throwIfAborted();
      skip(`search, ${label}, loss ${loss}, ${precision}: ${error.message}`);
      return 0;
    }
  };
  let best = Object.fromEntries(Object.entries(TRL_SEARCH).map(([name, [first]]) => [name, first]));
  let fastest = await speed(best);
  for (const [name, [, ...values]] of Object.entries(TRL_SEARCH))
    for (const settings of values.map((value) => ({ ...best, [name]: value }))) {
      if (enough()) continue;
      const tokensPerSecond = await speed(settings);
      if (tokensPerSecond > fastest) [best, fastest] = [settings, tokensPerSecond];
    }
  return [contender('trl', best, call.sequences), ...others];
}

function describe(run) {
  const losses = run.losses.map((value) => value.toFixed(4)).join(' ');
  return `${run.tokensPerSecond.toFixed(1)} tokens/s, ${(run.peakResidentBytes / 2 ** 30).toFixed(2)} GiB, losses ${losses}`;
}
