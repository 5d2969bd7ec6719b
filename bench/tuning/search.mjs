// Coordinate descent over settings, with measurements that are noisy: one axis at a time, and a setting replaces the one before only where
// it wins by more than the spread of rounds that both ran in turns.
import { median } from '../measure/statistics.mjs';

/**
 * @typedef {import('./axes.mjs').Setting} Setting
 *
 * @typedef {object} Trial one measurement of a setting
 * @property {number | null} tokensPerSecond null where it failed or took too long
 * @property {number | null} peakBytes
 * @property {number} seconds of the whole trial
 * @property {number | null} busy share of its threads' time that they ran on a core; null where that says nothing (a GPU)
 * @property {number[]} losses by step
 * @property {string} [problem] why there is no speed
 * @property {boolean} [ended] that is: it did not end within its limit
 *
 * @typedef {object} Tried all that is known of a setting
 * @property {Setting} setting
 * @property {Trial[]} rounds
 * @property {string} verdict in words
 *
 * @typedef {object} Outcome
 * @property {Tried} best
 * @property {Tried[]} tried in the order of their first trials
 * @property {'settled' | 'time' | 'interrupted'} ended settled: no axis had anything better
 */

/** Gains below this share are not worth a setting of one's own. */
const LEAST_GAIN = 0.01;
/** Where nothing fits the memory yet, what takes less by this share is a step towards it; peaks of the same setting differ by less. */
const LEAST_LESS_MEMORY = 0.02;
/** A first look at a setting that is slower by this share, or by twice the spread where that is more, needs no second one. */
const CLEARLY_SLOWER = 0.1;
/** With time for fewer trials than this the start is measured once, and its spread taken to be half of what is clearly slower. */
const WORTH_A_SPREAD = 6;
/** Trials that take so many times what the best so far takes are ended: they have lost. */
const PATIENCE = 2.5;
/** Threads that ran for less than this share of what they ran for the best so far were kept from it by other programs: look again. */
const DISTURBED = 0.8;
/** Rounds in turns: two where they agree within this share, else more, while they leave it open. */
const LEAST_ROUNDS = 2;
const AGREED = 0.05;
const MOST_ROUNDS = 5;
/**
 * Losses of the same rows differ by rounding alone: relative limits. bfloat16 rounds each number by up to 2^-9 = 0.2 %, of which the
 * mean over hundreds of tokens keeps little; float32 sums of another order differ in the sixth digit.
 */
const LOSS_TOLERANCE = { bfloat16: 1e-3, float32: 1e-4 };

/**
 * @param {object} request
 * @param {Setting} request.start
 * @param {import('./axes.mjs').Axis[]} request.axes
 * @param {(setting: Setting, limitSeconds: number) => Promise<Trial>} request.measure a trial that is ended after `limitSeconds`
 * @param {() => number} request.left seconds that are left for trials
 * @param {number} [request.memory] bytes that a setting may take at most
 * @param {AbortSignal} [request.signal]
 * @param {(tried: Tried, best: Tried) => void} [request.onTried] hears each setting once it is judged
 * @param {(best: Tried) => Promise<void>} [request.onBest] hears of the start, and of whatever replaces the best so far
 * @returns {Promise<Outcome>}
 * @throws Error where the start itself cannot be measured
 */
export async function search(request) {
  const {
    start,
    axes,
    left,
    signal,
    memory = Number.POSITIVE_INFINITY,
    onTried = () => {},
    onBest = async () => {},
  } = request;
  /** @type {Map<string, Tried>} */
  const book = new Map();
  /** @type {Map<string, number[]>} losses of the first trial in each dtype */
  const losses = new Map();

  const run = async (tried, limitSeconds) => {
    const trial = await request.measure(tried.setting, Math.min(limitSeconds, left()));
    if (signal?.aborted) return trial;
    if (trial.tokensPerSecond !== null) {
      const expected = losses.get(tried.setting.dtype);
      if (expected === undefined) losses.set(tried.setting.dtype, trial.losses);
      const difference = lossDifference(trial.losses, expected ?? trial.losses);
      if (!(difference <= LOSS_TOLERANCE[tried.setting.dtype])) {
        trial.tokensPerSecond = null;
        trial.problem = `broken: its losses ${trial.losses.map((loss) => loss.toFixed(4)).join(', ')} differ from ${expected?.map((loss) => loss.toFixed(4)).join(', ') ?? 'finite numbers'} on the same rows`;
      }
    }
    tried.rounds.push(trial);
    return trial;
  };
  const enter = (setting) => {
    const tried = { setting, rounds: [], verdict: '' };
    book.set(keyOf(setting), tried);
    return tried;
  };

  let best = enter(start);
  let spread = CLEARLY_SLOWER / 2;
  let ended = 'settled';
  const enough = () => {
    if (signal?.aborted) ended = 'interrupted';
    else if (left() < latest(best).seconds) ended = 'time';
    return ended === 'settled';
  };

  const first = await run(best, Number.POSITIVE_INFINITY);
  signal?.throwIfAborted();
  if (first.tokensPerSecond === null)
    throw new Error(`the settings to start from cannot be measured: ${first.problem}`);
  await onBest(best);
  if (enough() && left() > WORTH_A_SPREAD * first.seconds) {
    const second = await run(best, PATIENCE * first.seconds);
    if (second.tokensPerSecond !== null) spread = Math.abs(speed(second) / speed(first) - 1);
  }
  best.verdict = peakOf(best) > memory ? 'where it starts; takes too much memory' : 'where it starts';
  onTried(best, best);

  /** @returns {Promise<'better' | 'even' | 'worse'>} */
  const judge = async (candidate) => {
    const { seconds } = latest(best);
    const limit = PATIENCE * seconds;
    const short = left() < limit;
    let look = await run(candidate, limit);
    if (look.busy !== null && look.busy < DISTURBED * best.rounds[0].busy && enough()) {
      const again = await run(candidate, limit);
      if (speed(again) > speed(look)) look = again;
    }
    const says = (outcome, words) => {
      candidate.verdict = words;
      return outcome;
    };
    if (look.ended && short) return says('even', 'not measured: the time was over');
    if (look.tokensPerSecond === null) return says('worse', look.problem);
    if (peakOf(best) > memory) {
      if (look.peakBytes <= memory) return says('better', 'better: fits the memory');
      if (look.peakBytes < (1 - LEAST_LESS_MEMORY) * peakOf(best)) return says('better', 'better: takes less memory');
    }
    if (look.peakBytes > memory) return says('worse', 'takes too much memory');
    const ratio = speed(look) / speed(latest(best));
    if (ratio < 1 - Math.max(CLEARLY_SLOWER, 2 * spread)) return says('worse', 'slower');
    if (ratio < 1 - spread) return says('even', 'not faster');

    /** @type {number[]} candidate / best by round */
    const ratios = [];
    while (ratios.length < MOST_ROUNDS && enough() && left() > 2 * seconds) {
      const [theirs, ours] = [await run(best, limit), await run(candidate, limit)];
      if (theirs.tokensPerSecond === null || ours.tokensPerSecond === null) break;
      ratios.push(speed(ours) / speed(theirs));
      const { gain, spread: noise, wins } = gainOf(ratios);
      const enoughRounds = ratios.length >= (noise <= AGREED ? LEAST_ROUNDS : LEAST_ROUNDS + 1);
      if (enoughRounds && (wins || gain <= 0)) break;
    }
    if (ratios.length < LEAST_ROUNDS) return says('even', 'within noise: no time for rounds in turns');
    const { gain, spread: noise, wins } = gainOf(ratios);
    if (wins && noise > AGREED && ratios.length === LEAST_ROUNDS)
      return says('even', 'within noise: no time for a third round');
    const counted = `${percent(gain)} ± ${percent(noise).replace('+', '')} in ${ratios.length} rounds`;
    if (wins) return says('better', `better: ${counted}`);
    return says('even', gain > 0 ? `within noise: ${counted}` : `not faster: ${counted}`);
  };

  const descend = async (axis) => {
    let moved = false;
    for (const direction of axis.directions(best.setting)) {
      for (const value of direction) {
        const setting = { ...best.setting, [axis.name]: value };
        if (book.has(keyOf(setting))) continue;
        if (!enough()) return moved;
        const candidate = enter(setting);
        const verdict = await judge(candidate);
        if (signal?.aborted) {
          if (candidate.rounds.length === 0) book.delete(keyOf(setting));
          ended = 'interrupted';
          return moved;
        }
        if (verdict === 'better') {
          best = candidate;
          moved = true;
          await onBest(best);
        }
        onTried(candidate, best);
        if (verdict === 'worse') break;
      }
    }
    return moved;
  };

  for (let moved = true; moved && ended === 'settled'; ) {
    moved = false;
    for (const axis of axes) if (ended === 'settled') moved = (await descend(axis)) || moved;
  }
  return { best, tried: [...book.values()], ended };
}

const speed = (trial) => trial.tokensPerSecond;
/** The last round that has a speed; whatever was the best so far has one. */
const latest = ({ rounds }) => rounds.findLast((trial) => trial.tokensPerSecond !== null);
const keyOf = (setting) => JSON.stringify(Object.entries(setting).sort());

/** @param {Tried} tried @returns {number | null} median over its rounds, tokens/s; null where none has a speed */
export function speedOf({ rounds }) {
  const speeds = rounds.map(speed).filter((value) => value !== null);
  return speeds.length === 0 ? null : median(speeds);
}

/** @param {Tried} tried @returns {number | null} bytes, the most of its rounds */
export function peakOf({ rounds }) {
  const peaks = rounds.map(({ peakBytes }) => peakBytes).filter((value) => value !== null);
  return peaks.length === 0 ? null : Math.max(...peaks);
}

/** @param {readonly Tried[]} tried @returns {number | null} median share of their threads' time that all trials ran; null on a GPU */
export function busyOf(tried) {
  const shares = tried.flatMap(({ rounds }) => rounds.map(({ busy }) => busy)).filter((value) => value !== null);
  return shares.length === 0 ? null : median(shares);
}

/** @returns {{ gain: number, spread: number, wins: boolean }} shares: median gain over the rounds, and half the range of their gains */
function gainOf(ratios) {
  const gain = median(ratios) - 1;
  const spread = (Math.max(...ratios) - Math.min(...ratios)) / 2;
  return { gain, spread, wins: gain > Math.max(LEAST_GAIN, spread) };
}

/** Largest relative difference of two runs' losses, step by step; NaN where one is not finite or a step is missing. */
function lossDifference(losses, expected) {
  if (losses.length !== expected.length) return Number.NaN;
  return Math.max(
    ...losses.map((loss, step) => (Number.isFinite(loss) ? Math.abs(loss / expected[step] - 1) : Number.NaN)),
  );
}

const percent = (share) => `${share < 0 ? '-' : '+'}${(100 * Math.abs(share)).toFixed(1)} %`;
