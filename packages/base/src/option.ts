/** One option of training or of a command: its default, what it means in one line, and which values of unknown type are values of it. */
export interface Option<T> {
  readonly default: T;
  /** The default with compat 'trl', where that is another. */
  readonly trl?: NonNullable<T>;
  /** What help says of the default, where that is more than its value. */
  readonly shownDefault?: string;
  readonly help: string;
  /** All there are, of a choice. */
  readonly values?: readonly string[];
  /** In TypeScript, for the documented interfaces that are written from a table. */
  readonly type: string;
  /** What is accepted, as the error message says it: "an integer of at least 1". */
  readonly expected: string;
  readonly accepts: (value: unknown) => value is T;
  /** There is no default: a call must give it. */
  readonly required?: true;
}
// biome-ignore lint/suspicious/noExplicitAny: a table holds options of every type; ValuesOf gives each its own back.
export type OptionTable = Readonly<Record<string, Option<any>>>;
export type ValuesOf<T extends OptionTable> = { -readonly [K in keyof T]: T[K] extends Option<infer V> ? V : never };

/** Bounds of a number. */
export interface Range {
  min?: number;
  max?: number;
  /** Exclusive. */
  above?: number;
  below?: number;
}

const orNull = (type: string, fallback: unknown): string => (fallback === null ? `${type} | null` : type);

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

export function number(help: string, fallback: number, range: Range = {}): Option<number> {
  const accepts = (value: unknown): value is number => finite(value) && within(value, range);
  return { default: fallback, help, type: 'number', expected: `a number${rangeText(range)}`, accepts };
}

export function integer(help: string, fallback: number, range: Range = {}): Option<number> {
  const accepts = (value: unknown): value is number => Number.isSafeInteger(value) && within(value as number, range);
  return { default: fallback, help, type: 'number', expected: `an integer${rangeText(range)}`, accepts };
}

/** Steps between two events: a whole number of updates, or a share of all updates. */
export function interval<T extends number | null>(help: string, fallback: T): Option<number | T> {
  const accepts = (value: unknown): value is number | T =>
    value === fallback || (finite(value) && value > 0 && (value < 1 || Number.isInteger(value)));
  const expected = 'an integer of at least 1, or a share of all steps between 0 and 1';
  return { default: fallback, help, type: orNull('number', fallback), expected, accepts };
}

export function flag(help: string, fallback = false): Option<boolean> {
  const accepts = (value: unknown): value is boolean => typeof value === 'boolean';
  return { default: fallback, help, type: 'boolean', expected: 'true or false', accepts };
}

export function choice<const T extends string>(help: string, values: readonly T[], fallback: NoInfer<T>): Option<T> {
  const accepts = (value: unknown): value is T => values.includes(value as T);
  const quoted = values.map((value) => `'${value}'`);
  return { default: fallback, help, values, type: quoted.join(' | '), expected: quoted.join(' or '), accepts };
}

export function text(help: string, fallback: string, expected?: string): Option<string>;
export function text(help: string, fallback?: null, expected?: string): Option<string | null>;
export function text(help: string, fallback: string | null = null, expected = 'a text'): Option<string | null> {
  const accepts = (value: unknown): value is string | null =>
    value === fallback || (typeof value === 'string' && value !== '');
  return { default: fallback, help, type: orNull('string', fallback), expected, accepts };
}

export function required(help: string, expected = 'a text'): Option<string> {
  const accepts = (value: unknown): value is string => typeof value === 'string' && value !== '';
  return { default: '', help, type: 'string', expected, accepts, required: true };
}

/** `option`, but null (its new default) means that nothing was chosen. */
export function optional<T>(option: Option<T>): Option<T | null> {
  const accepts = (value: unknown): value is T | null => value === null || option.accepts(value);
  return { ...option, default: null, type: orNull(option.type, null), accepts };
}
