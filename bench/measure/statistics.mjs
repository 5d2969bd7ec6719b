// Statistics for a noisy machine: medians and quartiles, never means.

/**
 * Linear interpolation between order statistics (numpy's default).
 * @param {readonly number[]} values at least one
 * @param {number} share 0 the smallest … 1 the largest
 */
export function quantile(values, share) {
  if (values.length === 0) throw new RangeError('no values were measured; expected at least one');
  const sorted = [...values].sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const [below, above] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return below + (above - below) * (at - Math.floor(at));
}

/** @param {readonly number[]} values at least one */
export const median = (values) => quantile(values, 0.5);

/** Distance between the quartiles, in the unit of the values. */
export const spread = (values) => quantile(values, 0.75) - quantile(values, 0.25);

/**
 * Two sides that took turns. Low and high are those of the rounds' own ratios: what drifts with the machine hits both sides of a round.
 * @param {readonly number[]} ours one value a round
 * @param {readonly number[]} theirs as many, of the same rounds
 * @returns {{ ratio: number, ratioLow: number, ratioHigh: number }} ratio: of the medians
 */
export function ratioOfMedians(ours, theirs) {
  if (ours.length !== theirs.length)
    throw new RangeError(`${ours.length} and ${theirs.length} rounds; expected as many on both sides`);
  const ratios = ours.map((value, round) => value / theirs[round]);
  return { ratio: median(ours) / median(theirs), ratioLow: Math.min(...ratios), ratioHigh: Math.max(...ratios) };
}
