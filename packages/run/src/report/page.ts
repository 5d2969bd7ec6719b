/** report.html: one page that needs nothing else, to look at, keep and send on. */
import { compare } from '@gemmatune/eval';
import type { LogRow } from '@gemmatune/train';
import type { KeptScores } from '../evaluate.js';
import { escapeHtml } from './escape.js';
import { ratio } from './numbers.js';
import { linePlot, type Series } from './plot.js';

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
  const plots = PLOTS.map(([name, keys]) =>
    linePlot(
      name,
      keys.map((key) => seriesOf(logHistory, key)),
    ),
  )
    .filter((plot) => plot !== '')
    .join('\n');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
${keyTable(facts)}
${before || after ? `<h2>Before and after</h2>\n${metricTable(before ?? {}, after ?? {})}` : ''}
<h2>Course of the training</h2>
<div class="plots">${plots || '<p>Nothing was logged.</p>'}</div>
<h2>Settings</h2>
<div class="columns">${keyTable(settings)}</div>
<p class="small">Written by gemmatune. All numbers are in trainer_state.json beside this file.</p>
</body>
</html>
`;
}

/** The values of one key of log_history over steps. */
export function seriesOf(logHistory: readonly LogRow[], key: keyof LogRow): Series {
  const points = logHistory.flatMap((row) => {
    const { [key]: value, step } = row;
    return typeof value === 'number' && typeof step === 'number' ? [[step, value] as const] : [];
  });
  return { name: key.startsWith('eval_') ? 'evaluation' : 'training', points };
}

function keyTable(rows: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(rows).map(
    ([key, value]) => `<tr><th scope="row">${escapeHtml(key)}</th><td>${escapeHtml(cellText(value))}</td></tr>`,
  );
  return `<table>${lines.join('')}</table>`;
}

function cellText(value: unknown): string {
  if (typeof value === 'string') return value;
  const large = typeof value === 'number' && Number.isInteger(value) && Math.abs(value) >= 10_000;
  return large ? value.toLocaleString('en-US') : (JSON.stringify(value) ?? '');
}

function metricTable(before: KeptScores, after: KeptScores): string {
  const known = (scores: KeptScores) => ({ metrics: scores, counts: scores.counts });
  const rows = compare(known(before), known(after)).map(({ name, title, better, before: b, after: a, change }) => {
    const hint = better === 'lower' ? ' <small>(lower is better)</small>' : '';
    const shown = [ratio(b, before.counts?.[name]), ratio(a, after.counts?.[name])];
    const cells = [...shown, points(b, a), change === 'same' ? '' : change];
    return `<tr class="${change}"><th scope="row">${escapeHtml(title)}${hint}</th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  const head = ['', 'before', 'after', 'points', ''].map((name) => `<th scope="col">${name}</th>`).join('');
  return `<table class="numbers"><tr>${head}</tr>${rows.join('')}</table>`;
}

/** By how many percentage points a rate went up or down. */
function points(before: number | null, after: number | null): string {
  if (before === null || after === null) return '-';
  const text = ((after - before) * 100).toFixed(1);
  return Number(text) > 0 ? `+${text}` : text.replace('-', '\u2212');
}

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --a: #1f6feb; --b: #d9730d; --good: #1a7f37; --bad: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --a: #6cb6ff; --b: #f0a35e; --good: #57c46f; --bad: #ff7b72; } }
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
svg text { font-size: 11px; fill: currentColor; }
svg .title { font-size: 13px; font-weight: bold; }
.grid { stroke: var(--line); }
polyline { fill: none; stroke-width: 1.5; }
polyline.s0 { stroke: var(--a); } circle.s0, svg tspan.s0 { fill: var(--a); }
polyline.s1 { stroke: var(--b); } circle.s1, svg tspan.s1 { fill: var(--b); }
small, .small { font-size: 12px; }
@media print { .plots, tr { break-inside: avoid; } }
`;
