// Result files: bench/results/<machine>/<day>-<suite>.json. A short version's are for the machine's owner alone: results/local/, ignored by git.
import { execFileSync } from 'node:child_process';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BENCH = fileURLToPath(new URL('..', import.meta.url));
export const RESULTS = join(BENCH, 'results');
export const SCHEMA = 1;

/**
 * @typedef {object} ResultFile
 * @property {1} schema
 * @property {string} suite
 * @property {string} date ISO, UTC
 * @property {boolean} short
 * @property {string} commit empty outside a git checkout
 * @property {boolean} dirty tracked files differ from the commit
 * @property {import('./machine.mjs').Machine} machine
 * @property {Record<string, unknown>} settings
 * @property {Record<string, any>[]} results as the suite has them
 * @property {{ what: string, bar: number, value: number, unit: string, met: boolean }[]} bars
 */

/** @param {Omit<ResultFile, 'schema' | 'date' | 'commit' | 'dirty'>} found @returns {ResultFile} with when, and of which commit */
export function resultFile({ suite, short, machine, settings, results, bars }) {
  return {
    schema: SCHEMA,
    suite,
    date: new Date().toISOString(),
    short,
    ...commit(),
    machine,
    settings,
    results,
    bars,
  };
}

/** Of the checkout; empty where there is none. Result files do not make it dirty. */
function commit() {
  const git = (/** @type {string[]} */ ...args) =>
    execFileSync('git', args, { cwd: BENCH, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    const changed = git('status', '--porcelain', '-uno', '--', ':/', ':(top,exclude)bench/results');
    return { commit: git('rev-parse', '--short', 'HEAD'), dirty: changed !== '' };
  } catch {
    return { commit: '', dirty: false };
  }
}

/**
 * Writes a result whole or not at all; a later one of the same day takes its place.
 * @param {ResultFile} result
 * @param {string} out a folder of one's own, '' for the usual place
 * @returns {Promise<string>} the file
 */
export async function writeResult(result, out = '') {
  const folder = out || join(RESULTS, result.short ? 'local' : result.machine.id);
  const path = join(folder, `${result.date.slice(0, 10)}-${result.suite}${result.short ? '-short' : ''}.json`);
  await mkdir(folder, { recursive: true });
  const beside = `${path}.${process.pid}`;
  await writeFile(beside, textOf(result));
  await rename(beside, path);
  return path;
}

/** JSON with a line for each record: a diff of two runs shows what became another. @param {ResultFile} result */
function textOf({ results, bars, ...about }) {
  const list = (/** @type {object[]} */ records) =>
    `[${records.map((record) => `\n  ${JSON.stringify(record)}`).join(',')}\n ]`;
  const fields = Object.entries(about).map(([name, value]) => [name, JSON.stringify(value)]);
  const lines = [...fields, ['results', list(results)], ['bars', list(bars)]].map(
    ([name, text]) => `"${name}": ${text}`,
  );
  return `{\n ${lines.join(',\n ')}\n}\n`;
}
