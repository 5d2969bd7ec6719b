import { day, joined, number } from '../format.mjs';
import { groupBy } from '../group.mjs';

/**
 * What is followed over time: the suite, the curve's title, which results, their value.
 * @type {[suite: string, title: string, nameOf: (result: Record<string, any>) => string, field: string, unit?: number][]}
 */
const FOLLOWED = [
  ['train', 'training, tokens/s', ({ loss, device, dtype }) => joined([loss, device, dtype]), 'tokensPerSecond'],
  [
    'train',
    'training, peak memory in GiB',
    ({ loss, device, dtype }) => joined([loss, device, dtype]),
    'peakBytes',
    2 ** 30,
  ],
  ['decode', 'generation, tokens/s', ({ what, batch }) => joined([what, batch && `batch ${batch}`]), 'tokensPerSecond'],
  ['pipeline', 'data, rows/s', ({ what, rows }) => joined([what, rows && number(rows)]), 'rowsPerSecond'],
  [
    'peers',
    'speed, ours over theirs',
    ({ against, loss, precision, what }) => joined([against, loss, precision, what]),
    'ratio',
  ],
];
/** More curves in one chart cannot be told apart. */
const MOST_CURVES = 6;

/**
 * Metrics of full runs by date, where there are several dates.
 * @param {readonly import('../../measure/results.mjs').ResultFile[]} files of one machine, oldest first
 * @returns {import('../sections.mjs').Section | null}
 */
export function historySection(files) {
  const full = files.filter(({ short }) => !short);
  const blocks = FOLLOWED.flatMap(([suite, title, nameOf, field, unit = 1]) => {
    const points = full
      .filter((file) => file.suite === suite)
      .flatMap(({ date, commit, dirty, results }) =>
        results
          .filter((result) => typeof result[field] === 'number')
          .map((result) => ({
            name: nameOf(result),
            x: Date.parse(date),
            y: result[field] / unit,
            title: joined([day(date), commit && `${commit}${dirty ? ' with changes' : ''}`], ' '),
          })),
      );
    const series = [...groupBy(points, ({ name }) => name)]
      .map(([name, own]) => ({ name, points: own }))
      .filter((curve) => new Set(curve.points.map(({ x }) => x)).size > 1);
    if (series.length === 0) return [];
    // Those that end highest.
    const last = (/** @type {typeof series[number]} */ { points }) => points[points.length - 1].y;
    series.sort((a, b) => last(b) - last(a));
    const formatX = (/** @type {number} */ time) => new Date(time).toISOString().slice(5, 10);
    return [{ lines: { title, series: series.slice(0, MOST_CURVES), x: 'date of the run', formatX } }];
  });
  return blocks.length > 0
    ? { title: 'Over time', note: 'Full runs on this kind of machine; the commit is in the tip of each point.', blocks }
    : null;
}
