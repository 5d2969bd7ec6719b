// Bars are elements of the page, so that their text stays readable on a phone.
import { html, legend, seriesClass } from '@gemmatune/run/report';

/**
 * @typedef {object} BarChart horizontal bars
 * @property {string} title
 * @property {{ label: string, value: number, text: string, tone?: string, low?: number, high?: number }[]} items low, high: its spread
 * @property {number} [most] value of a full bar; default: the largest
 * @property {{ value: number, text: string }} [mark] a line across all bars
 *
 * @typedef {object} StackedChart bars made of parts, in one scale
 * @property {string} title
 * @property {{ label: string, text: string, parts: { name: string, value: number, text: string }[] }[]} items
 */

/** @param {BarChart} chart */
export function barChart({
  title,
  items,
  mark,
  most = Math.max(mark?.value ?? 0, ...items.flatMap(({ value, high }) => [value, high ?? 0])),
}) {
  const width = (/** @type {number} */ value) => `${round(Math.min(100, Math.max(0, (100 * value) / (most || 1))))}%`;
  const bar = (/** @type {BarChart['items'][number]} */ { label, value, text, tone, low, high }) => html`
<div class="bar"><span class="label">${label}</span><span class="track"><i class="${tone ?? seriesClass(0)}" style="width:${width(value)}"></i>${
    low !== undefined &&
    high !== undefined &&
    html`<u style="left:${width(low)};width:${round(Math.max(0, (100 * (Math.min(most, high) - low)) / (most || 1)))}%"></u>`
  }${mark && html`<b style="left:${width(mark.value)}"></b>`}</span><span class="value">${text}</span></div>`;
  return html`<figure class="bars"><figcaption>${title}${mark && html` <small>line: ${mark.text}</small>`}</figcaption>${items.map(bar)}</figure>`;
}

/** @param {StackedChart} chart */
export function stackedChart({ title, items }) {
  const names = [...new Set(items.flatMap(({ parts }) => parts.map(({ name }) => name)))];
  const total = (/** @type {StackedChart['items'][number]} */ { parts }) =>
    parts.reduce((sum, { value }) => sum + value, 0);
  const most = Math.max(...items.map(total)) || 1;
  const part = (/** @type {StackedChart['items'][number]['parts'][number]} */ { name, value, text }) =>
    html`<i class="${seriesClass(names.indexOf(name))}" style="width:${round((100 * value) / most)}%" title="${name}: ${text}"></i>`;
  const bar = (/** @type {StackedChart['items'][number]} */ item) => html`
<div class="bar"><span class="label">${item.label}</span><span class="track stack">${item.parts.map(part)}</span><span class="value">${item.text}</span></div>`;
  return html`<figure class="bars"><figcaption>${title}</figcaption>${items.map(bar)}${legend(names)}</figure>`;
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 10) / 10;
}
