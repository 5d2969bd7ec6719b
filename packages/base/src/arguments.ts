/** What a public function was given, judged for callers without types. */
import { InputError } from './errors.js';
import { shown } from './found.js';
import { didYouMean } from './nearest.js';

/**
 * @param of the function, as its callers name it
 * @throws InputError `encodeRows: rows is 'train.jsonl', expected rows as readTrainingRows gives them.`
 */
export function expectArgument(of: string, name: string, value: unknown, accepted: boolean, expected: string): void {
  if (!accepted) throw new InputError(`${of}: ${name} is ${shown(value)}, expected ${expected}.`);
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * @param known the options there are, by name
 * @throws InputError where `given` is no object, or has an option that does not exist: a name that is not understood must not be passed over
 */
export function expectOptions(of: string, given: unknown, known: Readonly<Record<string, true>>): void {
  expectArgument(of, 'options', given, isObject(given), 'an object of options');
  const unknown = Object.keys(given as object).find((name) => !Object.hasOwn(known, name));
  if (unknown === undefined) return;
  const names = Object.keys(known);
  const hint = didYouMean(unknown, names, `there are ${names.join(', ')}`);
  throw new InputError(`${of}: there is no option '${unknown}'; ${hint}`);
}
