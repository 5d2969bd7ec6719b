// The benchmarks: `pnpm bench [suite] [options]`. Alone: a short version of all suites and one page of what they found.
// Exit status: 0 done, 1 a suite failed, 2 the call is wrong, 130 interrupted.
import { basename, resolve } from 'node:path';
import { COMMON, overview, parseOptions, SHARED, suggestion, suiteHelp, UsageError } from './command-line.mjs';
import { describeMachine } from './measure/machine.mjs';
import { resultFile, writeResult } from './measure/results.mjs';
import { REPORT, SUITES } from './suites/index.mjs';

/**
 * @typedef {object} Suite
 * @property {string} summary one line for --help
 * @property {Record<string, { type: 'string' | 'boolean', default: string | boolean, help: string }>} options of node:util's parseArgs
 * @property {boolean} [isKept] false: what it finds follows from other results, and is not written
 * @property {Record<string, string | boolean>} short what `pnpm bench` alone uses instead of the defaults
 * @property {(options: Record<string, string | boolean>, context: Context) => Promise<Found>} run
 *
 * @typedef {object} Context
 * @property {(line: string) => void} note a line for people, on stderr
 * @property {ReturnType<typeof describeMachine>} machine
 * @property {AbortSignal} signal aborted by Ctrl-C
 * @property {import('./measure/results.mjs').ResultFile[]} earlier what other suites found in this call
 *
 * @typedef {{ settings: object, results: object[], bars: { what: string, bar: number, value: number, unit: string, met: boolean }[] }
 *   | { skipped: string }} Found skipped: why nothing can be measured here
 */

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
const note = (line) => process.stderr.write(`${line}\n`);

async function main([name, ...words]) {
  if (name === undefined || name.startsWith('-')) return all(name === undefined ? [] : [name, ...words]);
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
  if (result.skipped !== undefined) throw new Error(`${name}: ${result.skipped}`);
  return print(json ? JSON.stringify(result, null, 1) : (await REPORT.load()).text([result]));
}

/** A short version of every suite, one after another; one that fails does not stop the others. */
async function all(words) {
  const { values, given } = parseOptions(words, { ...SHARED, ...COMMON });
  if (values.help) return help();
  const earlier = [];
  let failed = 0;
  for (const [name, { seconds, load }] of Object.entries(SUITES)) {
    const start = performance.now();
    note(`== ${name} (about ${seconds} s)`);
    try {
      const suite = await load();
      const shared = Object.fromEntries([...given].map((option) => [option, values[option]]));
      if (values.out !== '') shared.results = values.out;
      const options = { ...defaults(suite.options), ...suite.short, ...only(shared, suite.options) };
      const result = await measure(name, suite, options, { out: values.out, short: true, earlier });
      if (result.skipped !== undefined) note(`${name}: left out: ${result.skipped}`);
      else earlier.push(result);
    } catch (error) {
      interrupt.signal.throwIfAborted();
      note(`${name}: failed: ${error.message}`);
      failed++;
    }
    const took = (performance.now() - start) / 1e3;
    if (took > seconds) note(`${name}: took ${took.toFixed(0)} s, more than its ${seconds} s`);
  }
  print(values.json ? JSON.stringify(earlier, null, 1) : (await REPORT.load()).text(earlier));
  return failed > 0 ? FAILED : 0;
}

/** Runs a suite and keeps what it found. @returns the result file's content, or why there is none */
async function measure(name, suite, options, { out, short, earlier }) {
  const machine = describeMachine();
  const found = await suite.run(options, { note, machine, signal: interrupt.signal, earlier });
  // What ended early because of Ctrl-C is no result.
  interrupt.signal.throwIfAborted();
  if (found.skipped !== undefined) return found;
  const result = resultFile({ suite: name, short, machine, ...found, settings: withoutPaths(found.settings) });
  if (suite.isKept !== false) note(`wrote ${await writeResult(result, out)}`);
  return result;
}

async function reportAlone(words) {
  const { report } = await REPORT.load();
  const { values } = parseOptions(words, { ...report.options, help: COMMON.help });
  if (values.help) return print(suiteHelp('report', { ...report, options: { ...report.options, help: COMMON.help } }));
  await report.run(values, { note, print, signal: interrupt.signal });
}

async function help() {
  const summaries = {};
  for (const [name, { load }] of Object.entries(SUITES)) summaries[name] = (await load()).summary;
  summaries.report = (await REPORT.load()).report.summary;
  print(overview(summaries));
}

function print(text) {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

const defaults = (options) =>
  Object.fromEntries(Object.entries(options).map(([name, option]) => [name, option.default]));
const only = (values, known) =>
  Object.fromEntries(Object.entries(values).filter(([name]) => Object.hasOwn(known, name)));
const without = (values, names) => Object.fromEntries(Object.entries(values).filter(([name]) => !names.has(name)));

/** Result files are shared: a path in them says nothing to others. */
const withoutPaths = (settings) =>
  Object.fromEntries(
    Object.entries(settings).map(([name, value]) => {
      const isPath = typeof value === 'string' && /^(~|\.{0,2}\/|[\w.-]+\/)/.test(value) && !value.includes(' ');
      return [name, isPath ? basename(resolve(value)) : value];
    }),
  );

try {
  process.exitCode = await main(process.argv.slice(2).filter((word, i) => !(i === 0 && word === '--')));
} catch (error) {
  if (interrupt.signal.aborted) process.exitCode = INTERRUPTED;
  else {
    note(`bench: ${error.message}`);
    process.exitCode = error instanceof UsageError ? WRONG_CALL : FAILED;
  }
}
