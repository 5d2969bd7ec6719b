/** report.html: one page that needs nothing else, to look at, keep and send on. */
import { METRICS } from '@gemmatune/eval';
import type { LogRow } from '@gemmatune/train';
import { percent } from '../terminal/table.js';
import { escapeHtml } from './escape.js';
import { linePlot, type Series } from './plot.js';

type Metrics = Readonly<Record<string, number | null>>;

export interface Report {
  title: string;
  /** What was done with what, in the order to show. */
  facts: Readonly<Record<string, string | number>>;
  logHistory: readonly LogRow[];
  settings: Readonly<Record<string, unknown>>;
  /** Metrics on the same rows before and after, as far as they were measured. */
  before?: Metrics | undefined;
  after?: Metrics | undefined;
}

/** What is plotted: the title, and the keys of log_history. */
const PLOTS: readonly (readonly [title: string, keys: readonly string[]])[] = [
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
${keyTable(settings)}
<p class="small">Written by gemmatune. All numbers are in trainer_state.json beside this file.</p>
</body>
</html>
`;
}

/** The values of one key of log_history over steps. */
export function seriesOf(logHistory: readonly LogRow[], key: string): Series {
  const points = logHistory.flatMap((row) => {
    const { [key]: value, step } = row;
    return typeof value === 'number' && typeof step === 'number' ? [[step, value] as const] : [];
  });
  return { name: key.startsWith('eval_') ? 'evaluation' : 'training', points };
}

function keyTable(rows: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(rows).map(
    ([key, value]) =>
      `<tr><th>${escapeHtml(key)}</th><td>${escapeHtml(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))}</td></tr>`,
  );
  return `<table>${lines.join('')}</table>`;
}

function metricTable(before: Metrics, after: Metrics): string {
  const rows = METRICS.map(({ name, title, better }) => {
    const [b, a] = [before[name] ?? null, after[name] ?? null];
    const gain = b === null || a === null || a === b ? 'same' : a > b === (better === 'higher') ? 'better' : 'worse';
    return `<tr class="${gain}"><th>${escapeHtml(title)}</th><td>${percent(b)}</td><td>${percent(a)}</td></tr>`;
  });
  return `<table><tr><th></th><th>before</th><th>after</th></tr>${rows.join('')}</table>`;
}

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --a: #1f6feb; --b: #d9730d; --good: #1a7f37; --bad: #cf222e; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 980px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 0.5rem 0 1rem; }
th, td { text-align: left; padding: 0.15rem 0.9rem 0.15rem 0; border-bottom: 1px solid var(--line); font-weight: normal; overflow-wrap: anywhere; }
td { font-variant-numeric: tabular-nums; }
.better td:last-child { color: var(--good); font-weight: bold; }
.worse td:last-child { color: var(--bad); font-weight: bold; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; }
svg { width: 460px; max-width: 100%; }
svg text { font-size: 11px; fill: currentColor; }
svg .title { font-size: 13px; font-weight: bold; }
.grid { stroke: var(--line); }
polyline { fill: none; stroke-width: 1.5; }
polyline.s0 { stroke: var(--a); } circle.s0, text.s0 { fill: var(--a); }
polyline.s1 { stroke: var(--b); } circle.s1, text.s1 { fill: var(--b); }
.small { font-size: 12px; opacity: 0.7; }
`;
