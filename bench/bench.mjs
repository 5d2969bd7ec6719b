// The benchmarks: `npm run bench -- [suite] [options]`. Alone: a short version of all suites and one page of what they found.
// Exit status: 0 done, 1 a suite failed, 2 the call is wrong, 130 interrupted.
import { basename, resolve } from 'node:path';
import {
  COMMON,
  defaultsOf,
  overview,
  parseOptions,
  SHARED,
  suggestion,
  suiteHelp,
  UsageError,
} from './command-line.mjs';
import { CannotMeasure } from './measure/cannot-measure.mjs';
import { describeMachine } from './measure/machine.mjs';
import { messageOf } from './measure/message.mjs';
import { resultFile, writeResult } from './measure/results.mjs';
import { REPORT, SUITES } from './suites/index.mjs';

/** @import { ResultFile } from './measure/results.mjs' */
/** @import { Suite } from './suites/index.mjs' */

const FAILED = 1;
const WRONG_CALL = 2;
const INTERRUPTED = 130;

const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => {
    if (interrupt.signal.aborted) process.exit(INTERRUPTED);
    process.stderr.write('\nStopping.\n');
    interrupt.abort();
  });
/** @param {string} line */
const note = (line) => process.stderr.write(`${line}\n`);

/** @param {string[]} all words of the call */
async function main(all) {
  const [name, ...words] = all;
  if (name === undefined || name.startsWith('-')) return everySuite(all);
  if (name === 'help') return help();
  if (name === 'report') return reportAlone(words);
  if (!Object.hasOwn(SUITES, name))
    throw new UsageError(`'${name}' is no suite; ${suggestion(name, [...Object.keys(SUITES), 'report'])}`);
  const suite = await SUITES[name].load();
  const { values, given } = parseOptions(words, { ...suite.options, ...COMMON });
  if (values.help) return print(suiteHelp(name, { ...suite, options: { ...suite.options, ...COMMON } }));
  const { out, short, json, help: _, ...own } = values;
  const options = short ? { ...own, ...without(suite.short, given) } : own;
  const result = await measure(name, suite, options, { out, short, earlier: [] });
  return print(json ? JSON.stringify(result, null, 1) : (await REPORT.load()).text([result]));
}

/** A short version of each, one after another; one that fails does not stop the others. @param {string[]} words */
async function everySuite(words) {
  const { values, given } = parseOptions(words, { ...SHARED, ...COMMON });
  if (values.help) return help();
  /** @type {ResultFile[]} */
  const earlier = [];
  let failed = 0;
  for (const [name, { seconds, load }] of Object.entries(SUITES)) {
    const start = performance.now();
    note(`== ${name} (about ${seconds} s)`);
    try {
      const suite = await load();
      const shared = Object.entries(values).filter(([option]) => given.has(option));
      if (values.out !== '') shared.push(['results', values.out]);
      const known = shared.filter(([option]) => Object.hasOwn(suite.options, option));
      const options = { ...defaultsOf(suite.options), ...suite.short, ...Object.fromEntries(known) };
      earlier.push(await measure(name, suite, options, { out: values.out, short: true, earlier }));
    } catch (error) {
      interrupt.signal.throwIfAborted();
      const isLeftOut = error instanceof CannotMeasure;
      note(`${name}: ${isLeftOut ? 'left out' : 'failed'}: ${messageOf(error)}`);
      if (!isLeftOut) failed++;
    }
    const took = (performance.now() - start) / 1e3;
    if (took > seconds) note(`${name}: took ${took.toFixed(0)} s, more than its ${seconds} s`);
  }
  print(values.json ? JSON.stringify(earlier, null, 1) : (await REPORT.load()).text(earlier));
  if (failed > 0) process.exitCode = FAILED;
}

/**
 * Runs a suite and keeps what it found.
 * @param {string} name
 * @param {Suite<any>} suite
 * @param {Record<string, string | boolean>} options
 * @param {{ out: string, short: boolean, earlier: readonly ResultFile[] }} call
 * @returns {Promise<ResultFile>}
 */
async function measure(name, suite, options, { out, short, earlier }) {
  const machine = describeMachine();
  const found = await suite.run(options, { note, machine, signal: interrupt.signal, earlier });
  // What ended early because of Ctrl-C is no result.
  interrupt.signal.throwIfAborted();
  const result = resultFile({ suite: name, short, machine, ...found, settings: withoutPaths(found.settings) });
  if (suite.isKept !== false) note(`wrote ${await writeResult(result, out)}`);
  return result;
}

/** @param {string[]} words */
async function reportAlone(words) {
  const { report } = await REPORT.load();
  const { values } = parseOptions(words, { ...report.options, help: COMMON.help });
  if (values.help) return print(suiteHelp('report', { ...report, options: { ...report.options, help: COMMON.help } }));
  await report.run(values, { note, print });
}

async function help() {
  /** @type {Record<string, string>} */
  const summaries = {};
  for (const [name, { load }] of Object.entries(SUITES)) summaries[name] = (await load()).summary;
  summaries.report = (await REPORT.load()).report.summary;
  print(overview(summaries));
}

/** @param {string} text */
function print(text) {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

/** @param {Record<string, unknown>} values @param {Set<string>} names */
const without = (values, names) => Object.fromEntries(Object.entries(values).filter(([name]) => !names.has(name)));

/** Result files are shared: a path in them says nothing to others. @param {Record<string, unknown>} settings */
const withoutPaths = (settings) =>
  Object.fromEntries(
    Object.entries(settings).map(([name, value]) => {
      const isPath = typeof value === 'string' && /^(~|\.{0,2}\/|[\w.-]+\/)/.test(value) && !value.includes(' ');
      return [name, isPath ? basename(resolve(value)) : value];
    }),
  );

try {
  await main(process.argv.slice(2).filter((word, i) => !(i === 0 && word === '--')));
} catch (error) {
  if (interrupt.signal.aborted) process.exitCode = INTERRUPTED;
  else {
    note(`bench: ${messageOf(error)}`);
    process.exitCode = error instanceof UsageError ? WRONG_CALL : FAILED;
  }
}
