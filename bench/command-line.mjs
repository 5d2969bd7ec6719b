// Words of a call to options, and the texts of --help.
/** @import { Option, Suite, Values } from './suites/index.mjs' */

import { parseArgs } from 'node:util';
import { nearestName } from '@gemmatune/base';
import { MODEL, PLACE } from './measure/options.mjs';

/** The call is wrong. */
export class UsageError extends Error {}

/** Options of every call. */
export const COMMON = {
  out: { default: '', help: 'Folder for the result files instead of bench/results.' },
  short: {
    default: false,
    help: 'The short version, as bench alone runs it; results are kept locally.',
  },
  json: { default: false, help: 'Print results as one JSON document.' },
  help: { default: false, help: 'Show this text.' },
};

/** Options of a call without a suite's name: handed to the suites that have them. */
export const SHARED = {
  ...MODEL,
  python: { default: 'python3', help: 'Interpreter with torch, transformers and trl, for peers.' },
  device: PLACE.device,
};

/**
 * @template {Record<string, Option>} Options
 * @param {readonly string[]} words
 * @param {Options} options
 * @returns {{ values: Values<Options>, given: Set<string> }} every option's value, and which were given
 * @throws UsageError naming the word
 */
export function parseOptions(words, options) {
  // The table's defaults are for help and for values; parseArgs would not tell which were given.
  /** @type {Record<string, { type: 'boolean' | 'string' }>} */
  const types = {};
  for (const [name, option] of Object.entries(options)) types[name] = { type: isSwitch(option) ? 'boolean' : 'string' };
  const { tokens } = parseArgs({
    args: [...words],
    options: types,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  /** @type {Record<string, string | boolean>} */
  const values = defaultsOf(options);
  /** @type {Set<string>} */
  const given = new Set();
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') throw new UsageError(`found the word '${token.value}', expected options`);
    const { name, rawName, value } = token;
    const option = Object.hasOwn(options, name) ? options[name] : undefined;
    if (option === undefined)
      throw new UsageError(`${rawName} is no option here; ${suggestion(name, Object.keys(options), '--')}`);
    if (!isSwitch(option) && value === undefined) throw new UsageError(`${rawName} has no value`);
    if (isSwitch(option) && value !== undefined)
      throw new UsageError(`${rawName}: found the value '${value}', expected none`);
    values[name] = value ?? true;
    given.add(name);
  }
  return { values: /** @type {Values<Options>} */ (values), given };
}

/**
 * @template {Record<string, Option>} Options
 * @param {Options} options
 */
export const defaultsOf = (options) =>
  /** @type {Values<Options>} */ (
    Object.fromEntries(Object.entries(options).map(([name, option]) => [name, option.default]))
  );

/** @param {Option} option */
const isSwitch = (option) => typeof option.default === 'boolean';

/** What to do about a name that is not known. @param {string} name @param {readonly string[]} known */
export function suggestion(name, known, prefix = '') {
  const nearest = nearestName(name, known);
  return nearest === undefined ? 'see --help for those there are' : `did you mean ${prefix}${nearest}?`;
}

/** @param {Record<string, string>} summaries by suite */
export const overview = (summaries) => `Measures gemmatune on this machine.

Usage: npm run bench -- [suite] [options]

${table(Object.entries(summaries))}

Without a suite: a short version of all of them, and one page of what they found, in less than ten minutes on two cores.

${optionTable({ ...SHARED, ...COMMON })}

npm run bench -- SUITE --help tells the options of a suite. What is measured, and how: bench/README.md
`;

/** @param {string} name @param {Pick<Suite<any>, 'summary' | 'options'>} suite */
export const suiteHelp = (name, { summary, options }) => `${summary}

Usage: npm run bench -- ${name} [options]

${optionTable(options)}
`;

/** @param {Record<string, Option>} options */
const optionTable = (options) =>
  table(
    Object.entries(options).map(([name, { default: fallback, help }]) => [
      `--${name}`,
      fallback === '' || fallback === false ? help : `${help} [${fallback}]`,
    ]),
  );

/** @param {string[][]} rows */
function table(rows) {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`).join('\n');
}
