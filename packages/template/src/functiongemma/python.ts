/** The Python and Jinja rules that the reference template leans on: str(), truth, strip, upper, dictsort. */
import { NumberText, numberText, type TemplateObject, type TemplateValue } from '../value.js';

/** `undefined` is Jinja's undefined: an attribute that is not there. It prints as nothing. */
export type Printable = TemplateValue | undefined;

export function isMapping(value: Printable): value is TemplateObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof NumberText);
}

/** `value[key]`, undefined where `value` has no keys. */
export function item(value: Printable, key: string): Printable {
  return isMapping(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

export function isTruthy(value: Printable): boolean {
  if (value instanceof NumberText) return Number(value.text) !== 0;
  if (typeof value === 'number') return value !== 0; // NaN is true
  if (Array.isArray(value)) return value.length > 0;
  return isMapping(value) ? Object.keys(value).length > 0 : Boolean(value);
}

/** Python's `for`: the items of a list, the characters of a text, the keys of a mapping; undefined counts as empty. */
export function iterate(value: Printable): TemplateValue[] | undefined {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value;
  if (typeof value === 'string') return [...value];
  return isMapping(value) ? Object.keys(value) : undefined;
}

/** Python's `str()`. */
export function text(value: Printable): string {
  if (value === undefined) return '';
  return typeof value === 'string' ? value : repr(value);
}

function repr(value: TemplateValue): string {
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'number') return numberText(value);
  if (value instanceof NumberText) return value.text;
  if (typeof value === 'string') return reprOfText(value);
  if (Array.isArray(value)) return `[${value.map(repr).join(', ')}]`;
  return `{${Object.entries(value)
    .map(([key, entry]) => `${reprOfText(key)}: ${repr(entry)}`)
    .join(', ')}}`;
}

/** Single quotes unless only double ones avoid an escape; characters Python calls unprintable are escaped. */
function reprOfText(value: string): string {
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  const named: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t', [quote]: `\\${quote}` };
  const body = Array.from(value, (character) => {
    if (named[character]) return named[character];
    if (character === ' ' || !/[\p{C}\p{Z}]/u.test(character)) return character;
    const code = character.codePointAt(0)!;
    const hex = (digits: number) => code.toString(16).padStart(digits, '0');
    if (code <= 0xff) return `\\x${hex(2)}`;
    return code <= 0xffff ? `\\u${hex(4)}` : `\\U${hex(8)}`;
  });
  return quote + body.join('') + quote;
}

/** What `str.strip()` takes away: unlike `trim()` also \x1c-\x1f and \x85, and not U+FEFF. */
const BLANKS = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const LEADING_BLANKS = new RegExp(`^${BLANKS}+`);
const TRAILING_BLANK = new RegExp(BLANKS);

/** Jinja's `trim`. */
export function strip(value: Printable): string {
  const whole = text(value).replace(LEADING_BLANKS, '');
  let end = whole.length;
  while (end > 0 && TRAILING_BLANK.test(whole[end - 1]!)) end--;
  return whole.slice(0, end);
}

/** Jinja's `upper`. */
export function upper(value: Printable): string {
  return text(value).toUpperCase();
}

/** Jinja's `dictsort`: by key without regard to case, equal keys in their own order, compared by code point. */
export function dictsort(mapping: TemplateObject): [string, TemplateValue][] {
  return Object.entries(mapping)
    .map((entry) => ({ entry, key: entry[0].toLowerCase() }))
    .sort((a, b) => compareCodePoints(a.key, b.key))
    .map(({ entry }) => entry);
}

function compareCodePoints(a: string, b: string): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    if (a[i] !== b[i]) return a.codePointAt(i)! - b.codePointAt(i)!;
  }
  return a.length - b.length;
}
