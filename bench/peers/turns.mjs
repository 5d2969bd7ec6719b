import { messageOf } from '../measure/message.mjs';

/**
 * Sides take turns, so that what the machine does meanwhile hits all of them.
 * @template Run
 * @param {number} rounds
 * @param {Record<string, () => Promise<Run>>} sides ours first; a side that fails is left out from then on, without ours it ends
 * @param {object} hooks
 * @param {() => boolean} hooks.enough no further round is to begin
 * @param {(side: string, reason: string) => void} hooks.failed
 * @param {(side: string, run: Run, round: number) => void} hooks.done
 * @param {AbortSignal} [hooks.signal]
 * @returns {Promise<Record<string, Run[]>>} runs by side, of whole rounds alone: all sides have as many
 */
export async function inTurns(rounds, sides, { enough, failed, done, signal }) {
  const [ours] = Object.keys(sides);
  /** @type {Record<string, Run[]>} */
  const runs = Object.fromEntries(Object.keys(sides).map((side) => [side, []]));
  for (let round = 0; round < rounds && !enough() && Object.keys(runs).length > 1; round++)
    for (const side of Object.keys(runs)) {
      try {
        const run = await sides[side]();
        runs[side].push(run);
        done(side, run, round);
      } catch (error) {
        signal?.throwIfAborted();
        failed(side, messageOf(error));
        delete runs[side];
        if (side === ours) return {};
      }
    }
  return runs;
}
