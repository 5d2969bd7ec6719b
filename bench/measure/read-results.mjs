// Result files, as the entry writes them: results/<machine>/<date>-<suite>.json.
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { messageOf } from './message.mjs';
import { SCHEMA } from './results.mjs';

/** @typedef {import('./results.mjs').ResultFile} ResultFile short ones are not to be compared with the others */

/**
 * All result files of a folder and the folders in it.
 * @param {string} folder
 * @returns {Promise<{ results: ResultFile[], skipped: { file: string, reason: string }[] }>} oldest first; files that are none, with the reason
 * @throws where the folder is not there
 */
export async function readResults(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error) => {
    throw new Error(
      `${folder} cannot be read (${error.code ?? error.message}); expected a folder of result files, which \`npm run bench <suite>\` writes`,
    );
  });
  const files = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.json'))
    .map(({ parentPath, name }) => join(parentPath, name));
  /** @type {ResultFile[]} */
  const results = [];
  /** @type {{ file: string, reason: string }[]} */
  const skipped = [];
  for (const path of files.sort()) {
    const file = relative(folder, path);
    try {
      results.push(parseResult(await readFile(path, 'utf8')));
    } catch (error) {
      skipped.push({ file, reason: messageOf(error) });
    }
  }
  results.sort((a, b) => (a.date < b.date ? -1 : a.date > b.date ? 1 : 0));
  return { results, skipped };
}

/**
 * @param {string} text of a result file
 * @returns {ResultFile}
 * @throws with the reason in the message
 */
export function parseResult(text) {
  if (text.trim() === '') throw new Error('it is empty');
  let file;
  try {
    file = JSON.parse(text);
  } catch {
    throw new Error('it is not JSON');
  }
  if (!isObject(file) || file.schema !== SCHEMA)
    throw new Error(`schema is ${JSON.stringify(file?.schema) ?? 'missing'}, expected ${SCHEMA}`);
  const { suite, date, short = false, commit = '', dirty = false, machine, settings = {}, results, bars = [] } = file;
  const expect = (/** @type {boolean} */ ok, /** @type {string} */ what, /** @type {string} */ expected) => {
    if (!ok) throw new Error(`${what} is missing or malformed, expected ${expected}`);
  };
  expect(typeof suite === 'string' && suite !== '', 'suite', 'a name');
  expect(typeof date === 'string' && !Number.isNaN(Date.parse(date)), 'date', 'a date');
  expect(typeof commit === 'string', 'commit', 'a commit');
  expect(isObject(machine) && typeof machine.id === 'string', 'machine', 'an object with an id');
  expect(isObject(settings), 'settings', 'an object');
  expect(Array.isArray(results) && results.every(isObject), 'results', 'a list of objects');
  expect(Array.isArray(bars) && bars.every(isObject), 'bars', 'a list of objects');
  return {
    schema: SCHEMA,
    suite,
    date,
    short,
    commit,
    dirty,
    machine: { gpus: [], ...machine },
    settings,
    results,
    bars,
  };
}

/**
 * The newest result of a suite; of a full run where there is one.
 * @param {readonly ResultFile[]} results oldest first
 * @param {string} suite
 * @param {(file: ResultFile) => boolean} [which]
 * @returns {ResultFile | undefined}
 */
export function newest(results, suite, which = () => true) {
  const own = results.filter((file) => file.suite === suite && which(file));
  return own.findLast(({ short }) => !short) ?? own.at(-1);
}

/** @param {unknown} value */
function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
