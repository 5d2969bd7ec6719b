// Charts without a library: bars are elements of the page, so that their text stays readable on a phone; curves are SVG.
import { number } from './format.mjs';
import { html } from './html.mjs';

/**
 * Horizontal bars.
 * @param {object} chart
 * @param {string} chart.title
 * @param {{ label: string, value: number, text: string, tone?: string, low?: number, high?: number }[]} chart.items low, high: its spread
 * @param {number} [chart.most] value of a full bar; default: the largest
 * @param {{ value: number, text: string }} [chart.mark] a line across all bars
 */
export function barChart({
  title,
  items,
  mark,
  most = Math.max(mark?.value ?? 0, ...items.flatMap(({ value, high }) => [value, high ?? 0])),
}) {
  const width = (value) => `${round(Math.min(100, Math.max(0, (100 * value) / (most || 1))))}%`;
  const bar = ({ label, value, text, tone, low, high }) => html`
<div class="bar"><span class="label">${label}</span><span class="track"><i class="${tone ?? ''}" style="width:${width(value)}"></i>${
    low !== undefined &&
    high !== undefined &&
    html`<u style="left:${width(low)};width:${round(Math.max(0, (100 * (Math.min(most, high) - low)) / (most || 1)))}%"></u>`
  }${mark && html`<b style="left:${width(mark.value)}"></b>`}</span><span class="value">${text}</span></div>`;
  return html`<figure class="bars"><figcaption>${title}${mark && html` <small>line: ${mark.text}</small>`}</figcaption>${items.map(bar)}</figure>`;
}

/**
 * Bars made of parts, in one scale.
 * @param {{ title: string, items: { label: string, text: string, parts: { name: string, value: number, text: string }[] }[] }} chart
 */
export function stackedChart({ title, items }) {
  const names = [...new Set(items.flatMap(({ parts }) => parts.map(({ name }) => name)))];
  const total = ({ parts }) => parts.reduce((sum, { value }) => sum + value, 0);
  const most = Math.max(...items.map(total)) || 1;
  const part = ({ name, value, text }) =>
    html`<i class="c${names.indexOf(name) % COLOURS}" style="width:${round((100 * value) / most)}%" title="${name}: ${text}"></i>`;
  const bar = (item) => html`
<div class="bar"><span class="label">${item.label}</span><span class="track stack">${item.parts.map(part)}</span><span class="value">${item.text}</span></div>`;
  return html`<figure class="bars"><figcaption>${title}</figcaption>${items.map(bar)}${legend(names)}</figure>`;
}
/** Colours of series, on white. */
export const PALETTE = ['#1f6feb', '#d9730d', '#1a7f37', '#8250df', '#bf3989', '#9a6700', '#57606a'];
const COLOURS = PALETTE.length;

const WIDTH = 460;
const HEIGHT = 220;
const MARGIN = { left: 58, right: 28, top: 10, bottom: 36 };

/**
 * @typedef {object} Lines curves, from zero
 * @property {string} title
 * @property {{ name: string, points: { x: number, y: number, title?: string }[] }[]} series
 * @property {string} x what x is
 * @property {boolean} [logarithmic] of x
 * @property {(x: number) => string} [formatX]
 * @property {(y: number) => string} [formatY]
 */

/** @param {Lines} chart */
export function lineChart(chart) {
  const { title, series } = chart;
  return html`<figure><figcaption>${title}</figcaption>${lines(chart)}${series.length > 1 && legend(series.map(({ name }) => name))}</figure>`;
}

/**
 * A picture of its own, with title and legend in it, for pages that show pictures only.
 * @param {Lines} chart
 * @returns {string} a file's text
 */
export function lineFile(chart) {
  const names = chart.series.map(({ name }) => name);
  const perLine = 2;
  const height = HEADER + HEIGHT + LEGEND * Math.ceil(names.length / perLine) + 6;
  const entry = (name, i) => {
    const [x, y] = [
      MARGIN.left + (i % perLine) * (WIDTH / perLine - 30),
      HEADER + HEIGHT + LEGEND * Math.floor(i / perLine) + 8,
    ];
    return html`<circle class="s${i % COLOURS}" cx="${x}" cy="${y}" r="4"/><text x="${x + 10}" y="${y}" dy="0.32em">${name}</text>`;
  };
  return `${html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">
<style>text { font: 11px system-ui, sans-serif; fill: #24292f; } .title { font-weight: bold; font-size: 13px; } .grid { stroke: #8883; } polyline { fill: none; stroke-width: 1.8; }
${PALETTE.map((colour, i) => `polyline.s${i} { stroke: ${colour}; } circle.s${i} { fill: ${colour}; }`).join(' ')}</style>
<rect width="100%" height="100%" fill="#fff"/><text class="title" x="10" y="18">${chart.title}</text>
<g transform="translate(0 ${HEADER})">${lines(chart)}</g>${names.map(entry)}
</svg>`}\n`;
}
const HEADER = 26;
const LEGEND = 18;

/** @param {Lines} chart @returns the drawing alone */
function lines({ title, series, x: caption, logarithmic = false, formatX = number, formatY = number }) {
  const points = series.flatMap((each) => each.points);
  const place = logarithmic ? Math.log2 : (value) => value;
  const lowX = Math.min(...points.map(({ x }) => place(x)));
  const highX = Math.max(...points.map(({ x }) => place(x)));
  const yTicks = ticks(Math.max(0, ...points.map(({ y }) => y)));
  const x = (value) =>
    round(
      MARGIN.left +
        (highX === lowX ? 0.5 : (place(value) - lowX) / (highX - lowX)) * (WIDTH - MARGIN.left - MARGIN.right),
    );
  const y = (value) => round(HEIGHT - MARGIN.bottom - (value / yTicks.at(-1)) * (HEIGHT - MARGIN.top - MARGIN.bottom));

  const grid = yTicks.map(
    (value) =>
      html`<line class="grid" x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${y(value)}" y2="${y(value)}"/><text x="${MARGIN.left - 6}" y="${y(value)}" text-anchor="end" dy="0.32em">${formatY(value)}</text>`,
  );
  const labels = spacedTicks(points, x).map(
    (value) =>
      html`<text x="${x(value)}" y="${HEIGHT - MARGIN.bottom + 16}" text-anchor="middle">${formatX(value)}</text>`,
  );
  const curves = series.map(
    ({ name, points: own }, i) =>
      html`<polyline class="s${i % COLOURS}" points="${own.map((p) => `${x(p.x)},${y(p.y)}`).join(' ')}"/>${own.map(
        (p) =>
          html`<circle class="s${i % COLOURS}" cx="${x(p.x)}" cy="${y(p.y)}" r="3"><title>${name}: ${formatY(p.y)} at ${p.title ?? formatX(p.x)}</title></circle>`,
      )}`,
  );
  return html`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="${title}">${grid}${labels}${curves}<text x="${
    (MARGIN.left + WIDTH - MARGIN.right) / 2
  }" y="${HEIGHT - 4}" text-anchor="middle">${caption}</text></svg>`;
}

/** Names by colour. */
function legend(names) {
  return html`<p class="legend">${names.map((name, i) => html`<span class="key"><i class="c${i % COLOURS}"></i>${name}</span> `)}</p>`;
}

/** Four or so round numbers from zero to `high` or a little more. */
export function ticks(high) {
  if (!(high > 0)) return [0, 1];
  const rough = high / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  return Array.from({ length: Math.ceil(high / step - 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}

/** The x of points that have room for a label each, from the left; the last one always. */
function spacedTicks(points, x) {
  const ROOM = 62;
  const values = [...new Set(points.map((point) => point.x))].sort((a, b) => a - b);
  const last = values.at(-1);
  const shown = [];
  for (const value of values.slice(0, -1))
    if ((shown.length === 0 || x(value) - x(shown.at(-1)) >= ROOM) && x(last) - x(value) >= ROOM) shown.push(value);
  return [...shown, last];
}

function round(value) {
  return Math.round(value * 10) / 10;
}
