import { TrainError } from './errors.js';

/** One option: its default, what it means in one line, and how a value of unknown type becomes its value (or a refusal). */
export interface Option<T> {
  readonly default: T;
  /** The default with compat 'trl', where that is another. */
  readonly trl?: NonNullable<T>;
  /** What help says of the default, where that is more than its value. */
  readonly shownDefault?: string;
  readonly help: string;
  /** What is accepted, as the error message says it: "an integer of at least 1". */
  readonly expected: string;
  readonly accepts: (value: unknown) => value is T;
}

interface Range {
  min?: number;
  /** Exclusive bounds. */
  above?: number;
  below?: number;
  max?: number;
}

const finite = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

function within(
  value: number,
  { min = -Infinity, above = -Infinity, max = Infinity, below = Infinity }: Range,
): boolean {
  return value >= min && value > above && value <= max && value < below;
}

function rangeText({ min, above, max, below }: Range): string {
  const parts = [
    min === undefined ? '' : `of at least ${min}`,
    above === undefined ? '' : `above ${above}`,
    max === undefined ? '' : `of at most ${max}`,
    below === undefined ? '' : `below ${below}`,
  ].filter(Boolean);
  return parts.length ? ` ${parts.join(' and ')}` : '';
}

export function number(defaultValue: number, help: string, range: Range = {}): Option<number> {
  const accepts = (value: unknown): value is number => finite(value) && within(value, range);
  return { default: defaultValue, help, expected: `a number${rangeText(range)}`, accepts };
}

export function integer(defaultValue: number, help: string, range: Range = {}): Option<number> {
  const accepts = (value: unknown): value is number => Number.isSafeInteger(value) && within(value as number, range);
  return { default: defaultValue, help, expected: `an integer${rangeText(range)}`, accepts };
}

/** Steps between two events: a whole number of updates, or a share of all updates. */
export function interval<T extends number | null>(defaultValue: T, help: string): Option<number | T> {
  const accepts = (value: unknown): value is number | T =>
    value === defaultValue || (finite(value) && value > 0 && (value < 1 || Number.isInteger(value)));
  return {
    default: defaultValue,
    help,
    expected: 'an integer of at least 1, or a share of all steps between 0 and 1',
    accepts,
  };
}

export function flag(defaultValue: boolean, help: string): Option<boolean> {
  const accepts = (value: unknown): value is boolean => typeof value === 'boolean';
  return { default: defaultValue, help, expected: 'true or false', accepts };
}

export function choice<const T extends string>(values: readonly T[], defaultValue: T, help: string): Option<T> {
  const accepts = (value: unknown): value is T => values.includes(value as T);
  return { default: defaultValue, help, expected: values.map((value) => `'${value}'`).join(' or '), accepts };
}

export function text<T extends string | null>(defaultValue: T, help: string, expected = 'a text'): Option<string | T> {
  const accepts = (value: unknown): value is string | T =>
    value === defaultValue || (typeof value === 'string' && value !== '');
  return { default: defaultValue, help, expected, accepts };
}

/** `option`, but null (its new default) means that nothing was chosen. */
export function optional<T>(option: Option<T>): Option<T | null> {
  const accepts = (value: unknown): value is T | null => value === null || option.accepts(value);
  return { ...option, default: null, accepts };
}

/** `option`, but null (its new default) leaves it to the number of training rows: see by-rows.ts. With compat 'trl' its old default stays. */
export function byRows<T extends number | string>(option: Option<T>): Option<T | null> {
  const trl = option.default;
  return { ...optional(option), trl, shownDefault: `by the number of rows; ${trl} with compat trl` };
}

/** How an error shows a value that was found: short, and never the whole of a large object. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 60 ? `${value.slice(0, 57)}...` : value}'`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value !== null && typeof value === 'object') return 'an object';
  return String(value);
}

export function refused(name: string, value: unknown, expected: string): TrainError {
  return new TrainError('ERR_GEMMATUNE_ARGUMENT', `${name} is ${shown(value)}; expected ${expected}.`);
}
