import { binaryBytes, duration, joined, number } from '../format.mjs';
import { groupBy } from '../group.mjs';

/** Data, start-up, loading. @returns {import('../sections.mjs').Section | null} */
export function pipelineSection({ results }) {
  const runs = results.filter(({ what }) => what);
  if (runs.length === 0) return null;
  // Of runs that differ in rows alone, the one with most.
  const most = [...groupBy(runs, nameOf).values()].map((own) =>
    own.reduce((a, b) => ((b.rows ?? 0) > (a.rows ?? 0) ? b : a)),
  );
  return {
    title: 'Data, start-up, loading',
    blocks: [{ table: tableOf(runs) }, ...memoryChart(runs)],
    summary: tableOf(most),
  };
}

/** @param {Record<string, any>} run */
const nameOf = ({ what, command, dtype, trainable }) =>
  joined([what, command, dtype, trainable === true && 'trainable'], ' ');

function tableOf(runs) {
  const rate = ({ rowsPerSecond, tokensPerSecond }) =>
    rowsPerSecond ? `${number(rowsPerSecond)} rows` : tokensPerSecond ? `${number(tokensPerSecond)} tokens` : '';
  return {
    columns: ['', 'rows', 'time', 'a second', 'peak memory'],
    rows: runs.map((run) => [
      nameOf(run),
      number(run.rows),
      duration(run.seconds),
      rate(run),
      binaryBytes(run.peakBytes),
    ]),
  };
}

/** Peak memory as rows grow, where that was measured. */
function memoryChart(runs) {
  const measured = runs.filter(({ rows, peakBytes }) => rows && peakBytes);
  const series = [...groupBy(measured, ({ what }) => what)]
    .filter(([, own]) => own.length > 1)
    .map(([name, own]) => ({ name, points: own.map(({ rows, peakBytes }) => ({ x: rows, y: peakBytes / 2 ** 20 })) }));
  return series.length > 0 ? [{ lines: { title: 'peak memory, MiB', series, x: 'rows' } }] : [];
}
