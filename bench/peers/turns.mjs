/**
 * Sides take turns, so that what the machine does meanwhile hits all of them.
 * @param {number} rounds
 * @param {Record<string, () => Promise<object>>} sides ours first; a side that fails is left out from then on, without ours it ends
 * @param {{ enough: () => boolean, failed: (side: string, error: Error) => void, done: (side: string, run: object, round: number) => void }} hooks
 *   `enough`: no further round is to begin
 * @returns {Promise<Record<string, object[]>>} runs by side, of whole rounds alone: all sides have as many
 */
export async function inTurns(rounds, sides, { enough, failed, done, signal }) {
  const [ours] = Object.keys(sides);
  const runs = Object.fromEntries(Object.keys(sides).map((side) => [side, []]));
  for (let round = 0; round < rounds && !enough() && Object.keys(runs).length > 1; round++)
    for (const side of Object.keys(runs)) {
      try {
        const run = await sides[side]();
        runs[side].push(run);
        done(side, run, round);
      } catch (error) {
        signal?.throwIfAborted();
        failed(side, error);
        delete runs[side];
        if (side === ours) return {};
      }
    }
  return runs;
}
