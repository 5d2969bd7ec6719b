// Writes what run.mjs measured: docs/tutorial.md with its pictures, and README's first table.   node tools/tutorial/page.mjs
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { table } from '../../bench/report/table.mjs';
import { lineFile } from '../../packages/run/dist/report/index.js';
import { readLines } from '../json-lines.mjs';
import { writeParts } from '../page-parts.mjs';
import { RUNS } from './runs.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const results = join(root, 'bench/results/tutorial');
const linesOf = (name) => readLines(join(results, name));

const parts = linesOf('parts.jsonl');
const partOf = (run, part) => parts.find((done) => done.run === run && done.part === part);
const runs = Object.entries(RUNS)
  .map(([name, { title, baseline = name }]) => ({
    ...{ name, title, baseline, log: linesOf(`${name}.log.jsonl`) },
    ...{ before: partOf(baseline, 'before'), train: partOf(name, 'train'), after: partOf(name, 'after') },
  }))
  .filter(({ before, train, after }) => before && train && after);

const seconds = (s) =>
  s < 120 ? `${s.toFixed(0)} s` : s < 7200 ? `${(s / 60).toFixed(1)} min` : `${(s / 3600).toFixed(1)} h`;
const gib = (bytes) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
const percent = (x) => (x === null ? '–' : `${(100 * x).toFixed(1)} %`);
const change = (name) => (run) => `${percent(run.before.metrics[name])} → ${percent(run.after.metrics[name])}`;
const last = (log, key) => log.filter((row) => row[key] !== undefined).at(-1)?.[key];
const digits = (value) => (value === undefined ? '–' : value.toPrecision(4));

const FIGURES = [
  ['calls of the base, 49 rows', (run) => seconds(run.before.seconds)],
  ['training', (run) => seconds(run.train.seconds)],
  ['calls of the tuned model', (run) => seconds(run.after.seconds)],
  ['**the whole job**', (run) => `**${seconds(run.before.seconds + run.train.seconds + run.after.seconds)}**`],
  ['peak memory', (run) => gib(Math.max(run.before.peakBytes, run.train.peakBytes, run.after.peakBytes))],
  ['loss of the last update', (run) => digits(last(run.log, 'loss'))],
  ['loss of the evaluation rows, last', (run) => digits(last(run.log, 'eval_loss'))],
  ['right tool', change('tool_accuracy')],
  ['character errors of the call (TC-CER)', change('tc_cer')],
  ['exactly the gold call', change('exact_match')],
];

const figures = (chosen) =>
  table(
    ['', ...chosen.map(({ title }) => title)],
    FIGURES.map(([name, figure]) => [name, ...chosen.map(figure)]),
  );

/** Log rows of both by update: ours and TRL's. */
function sideBySide(ours, theirs) {
  const rowsOf = (log) => new Map(log.filter((r) => r.loss !== undefined).map((r) => [r.step, r]));
  const [a, b] = [rowsOf(ours.log), rowsOf(theirs.log)];
  const keys = ['loss', 'grad_norm', 'entropy', 'mean_token_accuracy'];
  return table(
    ['update', ...keys.flatMap((key) => [key, 'TRL'])],
    [...a]
      .filter(([step]) => b.has(step))
      .map(([step, row]) => [step, ...keys.flatMap((key) => [digits(row[key]), digits(b.get(step)[key])])]),
  );
}

function examples(chosen, indices) {
  const calls = ({ name, baseline }, when) => linesOf(`${when === 'before' ? baseline : name}.${when}.calls.jsonl`);
  const code = (text) => `\`${text.replaceAll('`', "'").replaceAll('\n', '⏎').slice(0, 220)}\``;
  return indices
    .map((i) =>
      [
        `- gold: ${code(calls(chosen[0], 'after')[i].gold_text)}`,
        ...chosen.flatMap((run) =>
          ['before', 'after'].map((when) => `  - ${run.title}, ${when}: ${code(calls(run, when)[i].text)}`),
        ),
      ].join('\n'),
    )
    .join('\n');
}

const curve = (key) =>
  runs
    .filter(({ log }) => last(log, key) !== undefined)
    .map(({ title, log }) => ({
      name: title,
      points: log.filter((r) => r[key] !== undefined).map((r) => ({ x: r.step, y: r[key] })),
    }));

const pictures = join(root, 'docs/tutorial');
mkdirSync(pictures, { recursive: true });
for (const [file, title, key] of [
  ['loss.svg', 'Loss of each update', 'loss'],
  ['eval-loss.svg', 'Loss of the evaluation rows', 'eval_loss'],
])
  writeFileSync(join(pictures, file), lineFile({ title, x: 'update', fromZero: true, series: curve(key) }));

const named = (...names) => names.map((name) => runs.find((run) => run.name === name)).filter(Boolean);
const beside = (...names) => {
  const pair = named(...names);
  return pair.length === 2 ? sideBySide(...pair) : 'Not measured yet.';
};
writeParts(join(root, 'docs/tutorial.md'), {
  figures: figures(runs),
  'log-float32': beside('float32', 'trl-float32'),
  'log-bfloat16': beside('bfloat16', 'trl-bfloat16'),
  examples: examples(runs, [0, 2, 7]),
});
writeParts(join(root, 'README.md'), { tutorial: figures(named('float32', 'trl-float32', 'recommended')) });
