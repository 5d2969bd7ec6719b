/** The Python and Jinja rules that the reference template leans on: str(), truth, strip, upper, dictsort. */
import { type Json, JsonNumber, type JsonObject, pythonFloat, strip } from '@gemmatune/schema';

/** `undefined` is Jinja's undefined: an attribute that is not there. It prints as nothing. */
export type Printable = Json | undefined;

export function isMapping(value: Printable): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof JsonNumber);
}

/** `value[key]`, undefined where `value` has no keys. */
export function item(value: Printable, key: string): Printable {
  return isMapping(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

export function isTruthy(value: Printable): boolean {
  if (value instanceof JsonNumber) return value.value !== 0; // NaN is true
  if (typeof value === 'number') return value !== 0;
  if (Array.isArray(value)) return value.length > 0;
  return isMapping(value) ? Object.keys(value).length > 0 : Boolean(value);
}

/** Python's `for`: the items of a list, the characters of a text, the keys of a mapping; undefined counts as empty. */
export function iterate(value: Printable): Json[] | undefined {
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

function repr(value: Json): string {
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (value instanceof JsonNumber) return value.toString();
  // A whole number is taken for an int.
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value).toString() : pythonFloat(value);
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

/** Jinja's `trim`. */
export function trim(value: Printable): string {
  return strip(text(value));
}

/** Jinja's `upper`. */
export function upper(value: Printable): string {
  return text(value).toUpperCase();
}

/** Jinja's `dictsort`: by key without regard to case, equal keys in their own order, compared by code point. */
export function dictsort(mapping: JsonObject): [string, Json][] {
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
