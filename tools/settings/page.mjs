// Writes what the trials taught into docs/settings.md: a table and pictures of the losses.   node tools/settings/page.mjs
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { groupBy } from '../../bench/report/group.mjs';
import { table } from '../../bench/report/table.mjs';
import { lineFile } from '../../packages/run/dist/report/index.js';
import { readLines } from '../json-lines.mjs';
import { writeParts } from '../page-parts.mjs';
import { COMMON } from './trials.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const results = readLines(join(root, 'bench/results/settings/trials.jsonl'));

const NAMED = new Set(['data', 'rows', 'learningRate', 'numTrainEpochs']);
/** What sets a trial apart from the common settings. */
const apart = ({ trial }) =>
  Object.entries(trial)
    .filter(([name, value]) => !NAMED.has(name) && COMMON[name] !== value)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');

const percent = (x) => `${(100 * x).toFixed(0)} %`;
/** @param {any} result trials made before this was asked have none */
const onTheWay = ({ between = [] }) =>
  between
    .map(
      (/** @type {[number, Record<string, number>]} */ [epoch, metrics]) =>
        `${percent(metrics.tool_accuracy)} at ${Number(epoch.toFixed(1))}`,
    )
    .join(', ');
const losses = ({ evalLoss }) => evalLoss.map(([, loss]) => loss);
const order = (a, b) =>
  a.trial.data.localeCompare(b.trial.data) ||
  a.trial.rows - b.trial.rows ||
  apart(a).localeCompare(apart(b)) ||
  a.trial.learningRate - b.trial.learningRate ||
  a.trial.numTrainEpochs - b.trial.numTrainEpochs;

const figures = table(
  [
    'data',
    'rows',
    'learning rate',
    'epochs',
    'apart',
    'lowest loss',
    'last loss',
    'right tool',
    'on the way',
    'exactly the gold call',
    'TC-CER',
  ],
  results.toSorted(order).map((result) => {
    const { trial, metrics } = result;
    return [
      ...[trial.data, trial.rows, trial.learningRate, trial.numTrainEpochs, apart(result)],
      ...[Math.min(...losses(result)).toFixed(3), losses(result).at(-1).toFixed(3)],
      percent(metrics.tool_accuracy),
      onTheWay(result),
      ...[percent(metrics.exact_match), percent(metrics.tc_cer)],
    ];
  }),
);

const pictures = join(root, 'docs/settings');
mkdirSync(pictures, { recursive: true });
const groups = groupBy(results.toSorted(order), ({ trial: { data, rows } }) => `${data}-${rows}`);
const links = [];
for (const [group, members] of groups) {
  const [{ trial }] = members;
  const series = members.map((result) => ({
    name: [`${result.trial.learningRate}, ${result.trial.numTrainEpochs} epochs`, apart(result)]
      .filter(Boolean)
      .join(', '),
    points: result.evalLoss.map(([x, y]) => ({ x, y })),
  }));
  const title = `${trial.data}, ${trial.rows} rows: loss of the evaluation rows`;
  writeFileSync(join(pictures, `${group}.svg`), lineFile({ title, x: 'epoch', fromZero: true, series }));
  links.push(`![${title}](settings/${group}.svg)`);
}

writeParts(join(root, 'docs/settings.md'), { trials: figures, curves: links.join('\n') });
