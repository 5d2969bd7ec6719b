// What trials of a candidate say against those of the best so far.
import { median } from '../measure/statistics.mjs';
import { latest, peakOf } from './tried.mjs';

/**
 * @typedef {import('./tried.mjs').Trial} Trial
 * @typedef {import('./tried.mjs').Tried} Tried
 *
 * @typedef {object} Judgement
 * @property {'better' | 'even' | 'worse'} outcome worse: what lies behind it need not be tried
 * @property {string} verdict in words
 */

/** A first look at a setting that is slower by this share, or by twice the spread where that is more, needs no second one. */
export const CLEARLY_SLOWER = 0.1;
/** Rounds in turns: two where they agree within AGREED, else more, while they leave it open. */
export const MOST_ROUNDS = 5;
const LEAST_ROUNDS = 2;
const AGREED = 0.05;
/** Gains below this share are not worth a setting of one's own. */
const LEAST_GAIN = 0.01;
/** Where nothing fits the memory yet, what takes less by this share is a step towards it; peaks of the same setting differ by less. */
const LEAST_LESS_MEMORY = 0.02;
/**
 * Losses of the same rows differ by rounding alone: relative limits. bfloat16 rounds each number by up to 2^-9 = 0.2 %, of which the
 * mean over hundreds of tokens keeps little; float32 sums of another order differ in the sixth digit.
 */
const LOSS_TOLERANCE = { bfloat16: 1e-3, float32: 1e-4 };

/** @param {'better' | 'even' | 'worse'} outcome @param {string} verdict @returns {Judgement} */
const says = (outcome, verdict) => ({ outcome, verdict });

/**
 * @param {Trial} look the first of a candidate
 * @param {Tried} best
 * @param {object} place
 * @param {number} place.memory bytes that a setting may take at most
 * @param {number} place.spread share by which rounds of one setting differ
 * @param {boolean} place.wasShort there was less time than a slow trial takes
 * @returns {Judgement | null} null where only rounds in turns can tell
 */
export function atFirstLook(look, best, { memory, spread, wasShort }) {
  if (look.ended && wasShort) return says('even', 'not measured: the time was over');
  if (look.tokensPerSecond === null) return says('worse', look.problem ?? '');
  const [peak, peakOfBest] = [look.peakBytes ?? 0, peakOf(best) ?? 0];
  if (peakOfBest > memory) {
    if (peak <= memory) return says('better', 'better: fits the memory');
    if (peak < (1 - LEAST_LESS_MEMORY) * peakOfBest) return says('better', 'better: takes less memory');
  }
  if (peak > memory) return says('worse', 'takes too much memory');
  const ratio = look.tokensPerSecond / latest(best).tokensPerSecond;
  if (ratio < 1 - Math.max(CLEARLY_SLOWER, 2 * spread)) return says('worse', 'slower');
  return ratio < 1 - spread ? says('even', 'not faster') : null;
}

/** @param {readonly number[]} ratios candidate / best by round @returns {boolean} whether they leave nothing open */
export function isSettled(ratios) {
  const { gain, spread, wins } = gainOf(ratios);
  return ratios.length >= (spread <= AGREED ? LEAST_ROUNDS : LEAST_ROUNDS + 1) && (wins || gain <= 0);
}

/** @param {readonly number[]} ratios candidate / best by round @returns {Judgement} */
export function afterRounds(ratios) {
  if (ratios.length < LEAST_ROUNDS) return says('even', 'within noise: no time for rounds in turns');
  const { gain, spread, wins } = gainOf(ratios);
  if (wins && spread > AGREED && ratios.length === LEAST_ROUNDS)
    return says('even', 'within noise: no time for a third round');
  const counted = `${percent(gain)} ± ${percent(spread).replace('+', '')} in ${ratios.length} rounds`;
  if (wins) return says('better', `better: ${counted}`);
  return says('even', gain > 0 ? `within noise: ${counted}` : `not faster: ${counted}`);
}

/** @param {readonly number[]} ratios @returns shares: median gain over the rounds, and half the range of their gains */
function gainOf(ratios) {
  const gain = median(ratios) - 1;
  const spread = (Math.max(...ratios) - Math.min(...ratios)) / 2;
  return { gain, spread, wins: gain > Math.max(LEAST_GAIN, spread) };
}

/**
 * @param {readonly number[]} losses by step
 * @param {readonly number[]} expected those of the same rows
 * @param {import('./axes.mjs').Setting['dtype']} dtype
 * @returns {string | null} how they differ by more than rounding
 */
export function lossProblem(losses, expected, dtype) {
  const isClose =
    losses.length === expected.length &&
    losses.every((loss, step) => Math.abs(loss / expected[step] - 1) <= LOSS_TOLERANCE[dtype]);
  if (isClose) return null;
  const text = (/** @type {readonly number[]} */ values) => values.map((loss) => loss.toFixed(4)).join(', ');
  const wanted = losses === expected ? 'finite numbers' : text(expected);
  return `broken: its losses ${text(losses)} differ from ${wanted} on the same rows`;
}

/** @param {number} share */
const percent = (share) => `${share < 0 ? '-' : '+'}${(100 * Math.abs(share)).toFixed(1)} %`;
