/** Line plots as inline SVG: no script, no library, no font but the page's own. */
import { escapeHtml } from './escape.js';

export interface Series {
  name: string;
  /** (x, y) by rising x; points that are not finite are left out. */
  points: readonly (readonly [x: number, y: number])[];
}

const WIDTH = 460;
const HEIGHT = 240;
const MARGIN = { left: 58, right: 14, top: 30, bottom: 34 };
/** More points than pixels say nothing more. */
const MOST_POINTS = 600;

/** A plot of `series` over training steps; an empty string where there is nothing to draw. */
export function linePlot(title: string, series: readonly Series[]): string {
  const drawn = series
    .map(({ name, points }) => ({
      name,
      points: thinned(points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y))),
    }))
    .filter(({ points }) => points.length > 0);
  if (drawn.length === 0) return '';
  const all = drawn.flatMap(({ points }) => points);
  const xTicks = ticks(range(all.map(([x]) => x)), 5);
  const yTicks = ticks(range(all.map(([, y]) => y)), 4);
  const high = Math.max(...yTicks.map(Math.abs));
  const x = scale(xTicks, MARGIN.left, WIDTH - MARGIN.right);
  const y = scale(yTicks, HEIGHT - MARGIN.bottom, MARGIN.top);

  const grid = [
    ...yTicks.map(
      (value) =>
        `<line class="grid" x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${y(value)}" y2="${y(value)}"/>` +
        `<text x="${MARGIN.left - 6}" y="${y(value)}" text-anchor="end" dy="0.32em">${short(value, high)}</text>`,
    ),
    ...xTicks.map(
      (value) => `<text x="${x(value)}" y="${HEIGHT - MARGIN.bottom + 16}" text-anchor="middle">${short(value)}</text>`,
    ),
  ];
  const lines = drawn.map(({ name, points }, i) => {
    const path = points.map(([px, py]) => `${x(px)},${y(py)}`).join(' ');
    const dots = points
      .map(
        ([px, py]) =>
          `<circle class="s${i}" cx="${x(px)}" cy="${y(py)}" r="${points.length > 60 ? 1 : 2.5}"><title>${escapeHtml(name)} ${short(py)} at step ${px}</title></circle>`,
      )
      .join('');
    return `<polyline class="s${i}" points="${path}"/>${dots}`;
  });
  const names = drawn.map(({ name }, i) => `<tspan class="s${i}" dx="${i && 10}">${escapeHtml(name)}</tspan>`).join('');
  const legend = drawn.length < 2 ? '' : `<text x="${WIDTH - MARGIN.right}" y="16" text-anchor="end">${names}</text>`;
  return (
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(title)}">` +
    `<text class="title" x="${MARGIN.left}" y="16">${escapeHtml(title)}</text>${grid.join('')}${lines.join('')}${legend}` +
    `<text x="${(MARGIN.left + WIDTH - MARGIN.right) / 2}" y="${HEIGHT - 4}" text-anchor="middle">step</text></svg>`
  );
}

function thinned<T>(points: readonly T[]): readonly T[] {
  if (points.length <= MOST_POINTS) return points;
  const stride = (points.length - 1) / (MOST_POINTS - 1);
  return Array.from({ length: MOST_POINTS }, (_, i) => points[Math.round(i * stride)]!);
}

function range(values: readonly number[]): [low: number, high: number] {
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  // A single value still needs an axis to stand on.
  return low === high ? [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2] : [low, high];
}

/** About `wanted` round numbers (1, 2 or 5 times a power of ten apart) that enclose the range. */
export function ticks([low, high]: readonly [number, number], wanted: number): number[] {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function scale(axis: readonly number[], from: number, to: number): (value: number) => number {
  const low = axis[0]!;
  const high = axis.at(-1)!;
  return (value) => Math.round((from + ((value - low) / (high - low)) * (to - from)) * 10) / 10;
}

/** A number in few characters. `size`: that of the largest of its kind, so that all ticks of an axis are written alike. */
function short(value: number, size = Math.abs(value)): string {
  const plain = value === 0 || (size >= 5e-3 && size < 1e5);
  return plain ? String(Number(value.toPrecision(4))) : value.toExponential(1).replace('.0e', 'e');
}
