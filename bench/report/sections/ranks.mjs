import { binaryBytes, duration, number } from '../format.mjs';

/** Several ranks against one. @returns {import('../sections.mjs').Section | null} */
export function ranksSection({ results }) {
  const runs = results.filter(({ ratio }) => typeof ratio === 'number');
  if (runs.length === 0) return null;
  const table = {
    columns: [
      'loss',
      'sharing',
      'ranks',
      'tokens/s',
      'one rank',
      'ratio',
      'sent a step',
      'in exchange',
      'stands still',
      'peak memory',
    ],
    rows: runs.map((run) => [
      run.loss,
      run.sharing,
      number(run.size),
      number(run.tokensPerSecond),
      number(run.tokensPerSecondAlone),
      `${run.ratio.toFixed(2)}x`,
      binaryBytes(run.bytesOfStep),
      duration(run.busySeconds),
      duration(run.waitedSeconds),
      binaryBytes(run.peakBytes),
    ]),
  };
  return {
    title: 'Several ranks on one machine',
    note: `Ranks of one thread each against one rank of as many threads, measured in turns; ${runs[0].collectives}.`,
    blocks: [{ table }],
    summary: table,
  };
}
