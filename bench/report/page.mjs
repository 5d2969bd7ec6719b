// The page: one file that needs nothing else, to look at, keep and send on.
import { CHART_STYLE, html, lineChart } from '@gemmatune/run/report';
import { barChart, stackedChart } from './charts.mjs';
import { day, joined } from './format.mjs';
import { commitText, machines, machineText } from './sections.mjs';

/**
 * @param {readonly import('../measure/results.mjs').ResultFile[]} results
 * @param {readonly { file: string, reason: string }[]} [skipped] files that are no results
 * @returns {string} HTML
 */
export function renderPage(results, skipped = []) {
  const all = machines(results);
  return `${html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>gemmatune: measurements</title>
<style>${STYLE}</style>
</head>
<body>
<h1>gemmatune: measurements</h1>
${all.length === 0 && html`<p>There are no results yet: <code>npm run bench</code> makes some.</p>`}
${all.map(machinePart)}
${skipped.length > 0 && html`<h2>Skipped</h2><ul>${skipped.map(({ file, reason }) => html`<li><code>${file}</code>: ${reason}</li>`)}</ul>`}
<p class="small">Written by <code>npm run bench -- report</code>. How these numbers come about: bench/README.md.</p>
</body>
</html>
`}`;
}

function machinePart({ machine, files, sections }, machineIndex) {
  const idOf = (section) => `m${machineIndex}-${section.title.split(/[^A-Za-z]+/)[0].toLowerCase()}`;
  return html`
<section class="machine">
<h2>${machineText(machine)}</h2>
<p class="small">Commit ${commitText(files)}.</p>
<nav>${sections.map((section) => html`<a href="#${idOf(section)}">${section.title}</a> `)}</nav>
${sections.map((section) => html`<section id="${idOf(section)}">${sectionPart(section)}</section>`)}
</section>`;
}

function sectionPart({ title, note, blocks, file }) {
  const about =
    file &&
    joined([
      day(file.date),
      file.commit,
      file.dirty && 'with changes',
      file.short && 'short version: fewer steps and rows',
    ]);
  return html`<h3>${title}${about && html` <small>${about}</small>`}</h3>
${note && html`<p class="small">${note}</p>`}
${runsOfCharts(blocks).map((run) => (Array.isArray(run) ? html`<div class="charts">${run.map(blockPart)}</div>` : blockPart(run)))}`;
}

/** Charts that follow one another stand side by side where there is room. */
function runsOfCharts(blocks) {
  const runs = [];
  for (const block of blocks) {
    const isChart = !block.table && !block.text;
    if (isChart && Array.isArray(runs.at(-1))) runs.at(-1).push(block);
    else runs.push(isChart ? [block] : block);
  }
  return runs;
}

function blockPart({ table, bars, stack, lines, text }) {
  if (table) return tablePart(table);
  if (bars) return barChart(bars);
  if (stack) return stackedChart(stack);
  if (lines) return lineChart({ ...lines, fromZero: true });
  return html`<p>${text}</p>`;
}

function tablePart({ columns, rows, text = false }) {
  // A column in which no row says anything is left out.
  const shown = columns
    .map((_, i) => i)
    .filter((i) => rows.some((row) => !['', '–'].includes(row[i]?.text ?? row[i] ?? '')));
  const cell = (value) =>
    typeof value === 'object' && value !== null
      ? html`<td class="${value.tone}">${value.text}</td>`
      : html`<td>${value}</td>`;
  const head =
    columns.some((name) => name !== '') && html`<tr>${shown.map((i) => html`<th scope="col">${columns[i]}</th>`)}</tr>`;
  const line = (row) =>
    html`<tr>${shown.map((i) => (i === 0 ? html`<th scope="row">${row[0]?.text ?? row[0]}</th>` : cell(row[i])))}</tr>`;
  return html`<div class="scroll"><table class="${text ? 'words' : 'numbers'}">${head}${rows.map(line)}</table></div>`;
}

const STYLE = html`
:root { color-scheme: light dark; --line: #8883; --track: #8882; --good: #1a7f37; --bad: #cf222e; --back: #fff; --link: #1f6feb; }
@media (prefers-color-scheme: dark) { :root { --good: #57c46f; --bad: #ff7b72; --back: #121417; --link: #6cb6ff; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; background: var(--back); }
h1 { font-size: 1.6rem; margin: 0 0 1rem; } h2 { font-size: 1.2rem; margin: 2rem 0 0.2rem; overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; margin: 2rem 0 0.3rem; padding-top: 0.6rem; border-top: 1px solid var(--line); } h3 small { font-weight: normal; }
p { margin: 0.3rem 0 0.6rem; max-width: 50rem; }
small, .small, th[scope=col], figcaption small { font-size: 12px; color: color-mix(in srgb, currentColor 72%, transparent); }
nav { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; font-size: 13px; } a { color: var(--link); }
.scroll { overflow-x: auto; margin: 0.5rem 0 1rem; }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: 0.15rem 1.2rem 0.15rem 0; border-bottom: 1px solid var(--line); font-weight: normal; font-variant-numeric: tabular-nums; }
th[scope=col] { vertical-align: bottom; } th[scope=row] { min-width: 8rem; }
.numbers td, .numbers th[scope=col]:not(:first-child) { text-align: right; } .numbers td { white-space: nowrap; }
.words td { min-width: 5rem; max-width: 22rem; overflow-wrap: anywhere; }
td.good { color: var(--good); font-weight: bold; } td.bad { color: var(--bad); font-weight: bold; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 1rem 2.5rem; align-items: start; }
${CHART_STYLE}
svg { width: 100%; height: auto; max-width: 560px; } figcaption small { font-weight: normal; }
.bars { display: grid; grid-template-columns: minmax(0, 11rem) minmax(0, 1fr) auto; gap: 4px 0.7rem; align-items: center; font-size: 12.5px; line-height: 1.35; align-content: start; }
.bars figcaption, .bars .legend { grid-column: 1 / -1; } .bar { display: contents; }
.bar .label { overflow-wrap: anywhere; } .bar .value { font-variant-numeric: tabular-nums; white-space: nowrap; }
.track { position: relative; height: 12px; background: var(--track); border-radius: 2px; overflow: hidden; }
.track i { display: block; height: 100%; background: currentColor; border-radius: 2px; } .track i.second { opacity: 0.6; } i.good { color: var(--good); } i.bad { color: var(--bad); }
.track u { position: absolute; top: 5px; height: 2px; background: currentColor; } .track b { position: absolute; top: 0; height: 100%; border-left: 2px solid currentColor; opacity: 0.7; }
.stack { display: flex; height: 18px; } .stack i { border-radius: 0; border-right: 1px solid var(--back); }
@media (max-width: 560px) { body { margin: 1rem auto; } h1 { font-size: 1.35rem; } table { font-size: 13px; } th, td { padding-right: 0.8rem; } th[scope=row] { min-width: 6.5rem; } .words td { min-width: 7rem; }
  .bars { grid-template-columns: minmax(0, 1fr); gap: 6px; } .bar { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 0 0.7rem; align-items: end; } .bar .track { grid-column: 1 / -1; grid-row: 2; } }
@media print { figure, tr { break-inside: avoid; } }
`;
