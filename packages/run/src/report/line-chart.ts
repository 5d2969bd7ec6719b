/** Line charts as SVG: no script, no library, no font but the page's own. */
import { roundAxis, short, valueAxis } from './axis.js';
import { type Html, html } from './html.js';

interface Point {
  x: number;
  y: number;
  /** What its tip says of x; else x itself. */
  title?: string;
}

export interface Series {
  name: string;
  /** By rising x; points that are not finite are left out. */
  points: readonly Point[];
}

export interface LineChart {
  title: string;
  series: readonly Series[];
  /** What x is. */
  x: string;
  /** Of x; its values are written at the axis then, in place of round numbers. */
  logarithmic?: boolean;
  /** Of x that is no number to read, such as a time; these are written at the axis, too. */
  formatX?: (x: number) => string;
  /** y begins there, whatever its values are. */
  fromZero?: boolean;
}

const WIDTH = 460;
const HEIGHT = 220;
const MARGIN = { left: 58, right: 28, top: 10, bottom: 36 };
/** More points than pixels say nothing more. */
const MOST_POINTS = 600;

/** Colours of series, on a light and on a dark ground: element i is of class s<i>, and drawn in currentColor. */
const COLOURS = [
  ['#1f6feb', '#6cb6ff'],
  ['#d9730d', '#f0a35e'],
  ['#1a7f37', '#57c46f'],
  ['#8250df', '#c297ff'],
  ['#bf3989', '#ff8fc7'],
  ['#9a6700', '#e3b341'],
  ['#57606a', '#9aa4ae'],
] as const;
const coloured = (ground: 0 | 1) => COLOURS.map((colour, i) => html`.s${i} { color: ${colour[ground]}; } `);

/** The class of series i. */
export const seriesClass = (i: number): string => `s${i % COLOURS.length}`;

const DRAWING_STYLE = html`${coloured(0)}
@media (prefers-color-scheme: dark) { ${coloured(1)}}
svg text { font-size: 11px; fill: currentColor; }
.grid { stroke: #8883; } polyline { fill: none; stroke: currentColor; stroke-width: 1.8; } circle { fill: currentColor; }
`;
/** Style sheet of charts and legends. */
export const CHART_STYLE: Html = html`${DRAWING_STYLE}figure { margin: 0.4rem 0 0.6rem; min-width: 0; } figcaption { font-size: 13px; font-weight: bold; margin-bottom: 0.2rem; }
.legend { display: flex; flex-wrap: wrap; gap: 0 1rem; margin: 0; font-size: 12px; }
.key i { display: inline-block; width: 10px; height: 10px; margin-right: 0.35rem; border-radius: 2px; background: currentColor; }
`;

/** A figure of a page that has CHART_STYLE; null where there is nothing to draw. */
export function lineChart(chart: LineChart): Html | null {
  const series = drawable(chart);
  if (series.length === 0) return null;
  const names = series.map(({ name }) => name);
  return html`<figure><figcaption>${chart.title}</figcaption>${drawing(chart, series)}${names.length > 1 && legend(names)}</figure>`;
}

/** Names by colour. */
export function legend(names: readonly string[]): Html {
  return html`<p class="legend">${names.map((name, i) => html`<span class="key"><i class="${seriesClass(i)}"></i>${name}</span> `)}</p>`;
}

const HEADER = 26;
const LEGEND = 18;
const NAMES_OF_A_LINE = 2;

/** A picture of its own, with title and legend in it, for pages that show pictures only: the text of an SVG file. */
export function lineFile(chart: LineChart): string {
  const series = drawable(chart);
  const height = HEADER + HEIGHT + LEGEND * Math.ceil(series.length / NAMES_OF_A_LINE) + 6;
  const entries = series.map(({ name }, i) => {
    const x = MARGIN.left + (i % NAMES_OF_A_LINE) * (WIDTH / NAMES_OF_A_LINE - 30);
    const y = HEADER + HEIGHT + LEGEND * Math.floor(i / NAMES_OF_A_LINE) + 8;
    return html`<circle class="${seriesClass(i)}" cx="${x}" cy="${y}" r="4"/><text x="${x + 10}" y="${y}" dy="0.32em">${name}</text>`;
  });
  return html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">
<style>svg { color: #24292f; font-family: system-ui, sans-serif; } .ground { fill: #fff; } svg .title { font-weight: bold; font-size: 13px; }
@media (prefers-color-scheme: dark) { svg { color: #d1d7de; } .ground { fill: #0d1117; } }
${DRAWING_STYLE}</style>
<rect class="ground" width="100%" height="100%"/><text class="title" x="10" y="18">${chart.title}</text>
<g transform="translate(0 ${HEADER})">${drawing(chart, series)}</g>${entries}
</svg>
`.toString();
}

function drawable({ series }: LineChart): Series[] {
  const isKnown = ({ x, y }: Point) => Number.isFinite(x) && Number.isFinite(y);
  const finite = series.map(({ name, points }) => ({ name, points: thinned(points.filter(isKnown)) }));
  return finite.filter(({ points }) => points.length > 0);
}

function thinned<T>(points: readonly T[]): readonly T[] {
  if (points.length <= MOST_POINTS) return points;
  const stride = (points.length - 1) / (MOST_POINTS - 1);
  return Array.from({ length: MOST_POINTS }, (_, i) => points[Math.round(i * stride)]!);
}

function drawing({ title, x: caption, logarithmic, formatX, fromZero }: LineChart, series: readonly Series[]): Html {
  const points = series.flatMap((each) => each.points);
  const [left, right, bottom] = [MARGIN.left, WIDTH - MARGIN.right, HEIGHT - MARGIN.bottom];
  const xs = points.map((point) => point.x);
  const x =
    logarithmic || formatX
      ? valueAxis(xs, logarithmic ? Math.log2 : (value) => value, [left, right])
      : roundAxis(xs, 5, [left, right]);
  const y = roundAxis([...points.map((point) => point.y), ...(fromZero ? [0] : [])], 4, [bottom, MARGIN.top]);
  const written = formatX ?? ((value: number) => short(value));
  const highest = Math.max(...y.marks.map(Math.abs));

  const rows = y.marks.map((mark) => [
    html`<line class="grid" x1="${left}" x2="${right}" y1="${y.at(mark)}" y2="${y.at(mark)}"/>`,
    html`<text x="${left - 6}" y="${y.at(mark)}" text-anchor="end" dy="0.32em">${short(mark, highest)}</text>`,
  ]);
  const columns = x.marks.map(
    (mark) => html`<text x="${x.at(mark)}" y="${bottom + 16}" text-anchor="middle">${written(mark)}</text>`,
  );
  const curves = series.map(({ name, points: own }, i) => {
    const dots = own.map((point) => {
      const tip = `${name}: ${short(point.y)} (${point.title ?? `${caption} ${written(point.x)}`})`;
      return html`<circle cx="${x.at(point.x)}" cy="${y.at(point.y)}" r="${own.length > 60 ? 1 : 2.5}"><title>${tip}</title></circle>`;
    });
    const path = own.map((point) => `${x.at(point.x)},${y.at(point.y)}`).join(' ');
    return html`<g class="${seriesClass(i)}"><polyline points="${path}"/>${dots}</g>`;
  });
  return html`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="${title}">${[
    rows,
    columns,
    curves,
  ]}<text x="${(left + right) / 2}" y="${HEIGHT - 4}" text-anchor="middle">${caption}</text></svg>`;
}
