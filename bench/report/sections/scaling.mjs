import { binaryBytes, duration, number } from '../format.mjs';
import { groupBy } from '../group.mjs';

/** Cost as work grows. @returns {import('../sections.mjs').Section | null} */
export function scalingSection({ results }) {
  const steps = results.filter(({ sequences, tokensPerSecond }) => sequences && typeof tokensPerSecond === 'number');
  const long = results.filter(({ tokens, seconds }) => tokens && typeof seconds === 'number');
  const growth = results.filter(({ exponent }) => typeof exponent === 'number');
  if (steps.length + long.length === 0) return null;
  const charts = [...speedCurve(steps), ...memoryCurves(long), ...timeCurves(long)];
  const stepTable = {
    columns: ['sequences a step', 'tokens/s'],
    rows: steps.map(({ sequences, tokensPerSecond }) => [number(sequences), number(tokensPerSecond)]),
  };
  const longTable = tableOf(long);
  const growthTable = {
    columns: ['grows as tokens to the power', 'layers', 'over all lengths', 'at the end'],
    rows: growth.map(({ of, layers, exponent, atTheEnd }) => [of, layers ?? '', number(exponent), number(atTheEnd)]),
  };
  const speeds = steps.map(({ tokensPerSecond }) => number(tokensPerSecond)).join(', ');
  return {
    title: 'Cost as work grows',
    blocks: [
      ...charts.map((lines) => ({ lines })),
      ...[stepTable, longTable, growthTable].filter(({ rows }) => rows.length > 0).map((table) => ({ table })),
    ],
    summary: {
      ...tableOf(firstKind(long)),
      notes:
        steps.length > 0
          ? [`tokens/s with ${steps.map(({ sequences }) => number(sequences)).join(', ')} sequences a step: ${speeds}`]
          : [],
    },
  };
}

/** Curves of two points or more. */
function curves(title, series, x, more = {}) {
  const drawn = series.filter(({ points }) => points.length > 1);
  return drawn.length > 0 ? [{ title, series: drawn, x, ...more }] : [];
}

function speedCurve(steps) {
  const points = steps.map(({ sequences, tokensPerSecond }) => ({ x: sequences, y: tokensPerSecond }));
  return curves('tokens/s', [{ name: 'tokens/s', points }], 'sequences a step', { logarithmic: true });
}

/** Of the first kind of layers: memory is the same for all. */
const firstKind = (long) => long.filter(({ layers }) => layers === long[0].layers);

function tableOf(long) {
  return {
    columns: ['one sequence', 'layers', 'activations', 'peak memory', 'time', 'for a token'],
    rows: long.map(({ tokens, layers, activationBytes, peakBytes, seconds }) => [
      `${number(tokens)} tokens`,
      layers ?? '',
      binaryBytes(activationBytes),
      binaryBytes(peakBytes),
      duration(seconds),
      duration(seconds / tokens),
    ]),
  };
}

function memoryCurves(long) {
  const own = firstKind(long);
  const curve = (name, field) => ({
    name,
    points: own
      .filter((run) => typeof run[field] === 'number')
      .map((run) => ({ x: run.tokens, y: run[field] / 2 ** 20 })),
  });
  const series = [curve('activations', 'activationBytes'), curve('whole process', 'peakBytes')];
  return curves('memory, MiB', series, 'tokens of one sequence');
}

function timeCurves(long) {
  const series = [...groupBy(long, ({ layers }) => layers)].map(([layers, own]) => ({
    name: layers ?? 'time',
    points: own.map(({ tokens, seconds }) => ({ x: tokens, y: (1e6 * seconds) / tokens })),
  }));
  return curves('time for a token by kinds of layers, µs', series, 'tokens of one sequence');
}
