/** What we want of the ratio ours to theirs. */
/** @type {Record<string, number>} */
const SPEED_BARS = { full: 2.5, completion: 3.5 };
const MEMORY_BAR = 0.6;
const GENERATION_BAR = 5;

/**
 * Against the fastest TRL of a loss and precision. A speed counts only where both sides learnt the same; memory is that of the loss where
 * ours is worst.
 * @param {readonly Record<string, any>[]} results of suite peers
 * @returns {{ what: string, bar: number, value: number, unit: string, met: boolean }[]}
 */
export function bars(results) {
  const ratios = results.filter(({ ratio }) => ratio !== undefined);
  const trl = ratios.filter(({ peer }) => peer === 'trl');
  const fastest = trl.filter(
    ({ loss, precision, ratio }) =>
      !trl.some((other) => other.loss === loss && other.precision === precision && other.ratio < ratio),
  );
  const speed = fastest.map(({ loss, precision, ratio, lossesAgree }) => {
    const name = loss === 'full' ? 'full-sequence' : 'completion';
    const bar = SPEED_BARS[loss];
    const what = `${name} training speed against the fastest TRL, ${precision}`;
    return { what, bar, value: ratio, unit: 'x', met: ratio >= bar && lossesAgree };
  });
  const memory = [...new Set(fastest.map(({ precision }) => precision))]
    .filter((precision) => precision !== 'fp32')
    .map((precision) => {
      const value = Math.max(...fastest.filter((each) => each.precision === precision).map((each) => each.memoryRatio));
      const what = `peak memory of training against the fastest TRL, ${precision}`;
      return { what, bar: MEMORY_BAR, value, unit: 'x', met: value <= MEMORY_BAR };
    });
  const generation = ratios
    .filter(({ what }) => what === 'generate')
    .map(({ precision, ratio }) => {
      const what = `greedy generation against transformers, ${precision}`;
      return { what, bar: GENERATION_BAR, value: ratio, unit: 'x', met: ratio >= GENERATION_BAR };
    });
  return [...speed, ...memory, ...generation];
}
