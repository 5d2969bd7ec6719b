/** Parts of pages: HTML from templates, and line charts. */
export { type Html, html } from './html.js';
export { CHART_STYLE, type LineChart, legend, lineChart, lineFile, type Series, seriesClass } from './line-chart.js';
