// What is known of a setting: its trials, and what they say together.
import { median } from '../measure/statistics.mjs';

/**
 * @typedef {object} Trial one measurement of a setting
 * @property {number | null} tokensPerSecond null where it failed or took too long
 * @property {number | null} peakBytes
 * @property {number | null} stepSeconds
 * @property {number} seconds of the whole trial
 * @property {number | null} busy share of its threads' time that they ran on a core; null where that says nothing (a GPU)
 * @property {number[]} losses by step
 * @property {string} [problem] why there is no speed
 * @property {boolean} [ended] that is: it did not end within its limit
 *
 * @typedef {Trial & { tokensPerSecond: number, peakBytes: number }} Measured
 *
 * @typedef {object} Tried
 * @property {import('./axes.mjs').Setting} setting
 * @property {Trial[]} rounds
 * @property {string} verdict in words
 */

/** @param {Trial} trial @returns {trial is Measured} */
export const isMeasured = (trial) => trial.tokensPerSecond !== null;

/** @param {Tried} tried with a speed in one round at least @returns {Measured} the last of them */
export const latest = ({ rounds }) => /** @type {Measured} */ (rounds.findLast(isMeasured));

/** @param {Tried} tried @returns {number | null} median over its rounds, tokens/s; null where none has a speed */
export const speedOf = ({ rounds }) => medianOf(rounds.map(({ tokensPerSecond }) => tokensPerSecond));

/** @param {Tried} tried @returns {number | null} bytes, the most of its rounds */
export function peakOf({ rounds }) {
  const peaks = known(rounds.map(({ peakBytes }) => peakBytes));
  return peaks.length === 0 ? null : Math.max(...peaks);
}

/** @param {Tried} tried with a speed in one round at least */
export const costOf = (tried) => ({ speed: speedOf(tried) ?? 0, peak: peakOf(tried) ?? 0 });

/** @param {readonly Tried[]} tried @returns {number | null} median share of their threads' time that all trials ran; null on a GPU */
export const busyOf = (tried) => medianOf(tried.flatMap(({ rounds }) => rounds.map(({ busy }) => busy)));

/** @param {readonly (number | null)[]} values */
const known = (values) => values.filter((value) => value !== null);

/** @param {readonly (number | null)[]} values */
const medianOf = (values) => (known(values).length === 0 ? null : median(known(values)));
