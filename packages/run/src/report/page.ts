/** report.html: one page that needs nothing else, to look at, keep and send on. */
import { compare } from '@gemmatune/eval';
import type { LogRow } from '@gemmatune/train';
import type { KeptScores } from '../evaluate.js';
import { type Html, html } from './html.js';
import { CHART_STYLE, lineChart, type Series } from './line-chart.js';
import { ratio } from './numbers.js';

export interface Report {
  title: string;
  /** What was done with what, in the order to show. */
  facts: Readonly<Record<string, string | number>>;
  logHistory: readonly LogRow[];
  settings: Readonly<Record<string, unknown>>;
  /** Metrics on the same rows before and after, as far as they were measured. */
  before?: KeptScores | undefined;
  after?: KeptScores | undefined;
}

/** What is plotted: the title, and the keys of log_history. */
const PLOTS: readonly (readonly [title: string, keys: readonly (keyof LogRow)[]])[] = [
  ['Loss', ['loss', 'eval_loss']],
  ['Token accuracy', ['mean_token_accuracy', 'eval_mean_token_accuracy']],
  ['Learning rate', ['learning_rate']],
  ['Gradient norm', ['grad_norm']],
];

export function reportPage({ title, facts, logHistory, settings, before, after }: Report): string {
  const charts = PLOTS.flatMap(
    ([name, keys]) => lineChart({ title: name, x: 'step', series: keys.map((key) => seriesOf(logHistory, key)) }) ?? [],
  );
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${title}</h1>
${keyTable(facts)}
${(before || after) && html`<h2>Before and after</h2>\n${metricTable(before ?? {}, after ?? {})}`}
<h2>Course of the training</h2>
<div class="plots">${charts.length > 0 ? charts : html`<p>Nothing was logged.</p>`}</div>
<h2>Settings</h2>
<div class="columns">${keyTable(settings)}</div>
<p class="small">Written by gemmatune. All numbers are in trainer_state.json beside this file.</p>
</body>
</html>
`.toString();
}

/** The values of one key of log_history over steps. */
export function seriesOf(logHistory: readonly LogRow[], key: keyof LogRow): Series {
  const points = logHistory.flatMap((row) => {
    const { [key]: value, step } = row;
    return typeof value === 'number' && typeof step === 'number' ? [{ x: step, y: value }] : [];
  });
  return { name: key.startsWith('eval_') ? 'evaluation' : 'training', points };
}

function keyTable(rows: Readonly<Record<string, unknown>>): Html {
  const lines = Object.entries(rows).map(
    ([key, value]) => html`<tr><th scope="row">${key}</th><td>${cellText(value)}</td></tr>`,
  );
  return html`<table>${lines}</table>`;
}

function cellText(value: unknown): string {
  if (typeof value === 'string') return value;
  const large = typeof value === 'number' && Number.isInteger(value) && Math.abs(value) >= 10_000;
  return large ? value.toLocaleString('en-US') : (JSON.stringify(value) ?? '');
}

function metricTable(before: KeptScores, after: KeptScores): Html {
  const known = (scores: KeptScores) => ({ metrics: scores, counts: scores.counts });
  const rows = compare(known(before), known(after)).map(({ name, title, better, before: b, after: a, change }) => {
    const hint = better === 'lower' && html` <small>(lower is better)</small>`;
    const shown = [ratio(b, before.counts?.[name]), ratio(a, after.counts?.[name])];
    const cells = [...shown, points(b, a), change === 'same' ? '' : change];
    return html`<tr class="${change}"><th scope="row">${title}${hint}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`;
  });
  const head = ['', 'before', 'after', 'points', ''].map((name) => html`<th scope="col">${name}</th>`);
  return html`<table class="numbers"><tr>${head}</tr>${rows}</table>`;
}

/** By how many percentage points a rate went up or down. */
function points(before: number | null, after: number | null): string {
  if (before === null || after === null) return '-';
  const text = ((after - before) * 100).toFixed(1);
  return Number(text) > 0 ? `+${text}` : text.replace('-', '\u2212');
}

const STYLE = html`
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --good: #57c46f; --bad: #ff7b72; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 960px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; overflow-wrap: anywhere; } h2 { font-size: 1.2rem; margin: 1.8rem 0 0.3rem; }
table { border-collapse: collapse; margin: 0.5rem 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: 0.15rem 1.2rem 0.15rem 0; border-bottom: 1px solid var(--line); font-weight: normal; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.numbers td:not(:last-child), .numbers th[scope=col] { text-align: right; }
.numbers td { white-space: nowrap; }
th[scope=col], th[scope=row], small, .small { color: color-mix(in srgb, currentColor 72%, transparent); }
.numbers th[scope=row] { color: inherit; }
.better td:nth-child(n+3) { color: var(--good); font-weight: bold; }
.worse td:nth-child(n+3) { color: var(--bad); font-weight: bold; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 1rem 2rem; }
.columns { columns: 2 320px; column-gap: 2rem; } .columns table { width: 100%; margin: 0; }
svg { width: 100%; height: auto; }
${CHART_STYLE}
small, .small { font-size: 12px; }
@media print { figure, tr { break-inside: avoid; } }
`;
