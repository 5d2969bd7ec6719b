/** Between exact JSON and ordinary JavaScript values. */
import { InputError } from '@gemmatune/base';
import { type ExactJson, JsonNumber, parseExactJson } from './exact-json.js';
import type { Json } from './types.js';

/**
 * The value in ordinary objects (index-like keys move to the front), its numbers still exact: where a JavaScript number would print
 * otherwise (5.0, 1e16, 2^53 + 1) a JsonNumber in Python's spelling stays.
 */
export function toJson(value: ExactJson): Json {
  return inObjects(value, (number) => {
    const x = number.value;
    const saysTheSame = number.isInteger ? Number.isSafeInteger(x) : !Number.isInteger(x);
    // + 0: the integer -0 is 0.
    return saysTheSame ? x + 0 : new JsonNumber(number.toString());
  });
}

/** `parseExactJson` in ordinary objects, see `toJson`. @throws SyntaxError with the offset and what was found there */
export function parseJson(text: string): Json {
  return toJson(parseExactJson(text));
}

/** The value as ordinary JavaScript: every number a double, what does not fit is lost. */
export function plainJson(value: ExactJson | Json): Json {
  return inObjects(value, (number) => number.value);
}

function inObjects(value: ExactJson | Json, number: (number: JsonNumber) => Json): Json {
  if (value instanceof JsonNumber) return number(value);
  if (Array.isArray(value)) return value.map((item) => inObjects(item, number));
  if (typeof value !== 'object' || value === null) return value;
  const object: { [key: string]: Json } = {};
  const set = (key: string, item: ExactJson | Json): void => {
    const made = inObjects(item, number);
    // Assigned, this one name would set the prototype.
    if (key === '__proto__') Object.defineProperty(object, key, { ...OWN, value: made });
    else object[key] = made;
  };
  if (value instanceof Map) for (const [key, item] of value) set(key, item);
  else for (const key of Object.keys(value)) set(key, value[key]!);
  return object;
}

const OWN = { configurable: true, enumerable: true, writable: true };

/** The exact form of an ordinary value: integral doubles print as integers. @throws InputError on what JSON cannot hold */
export function exactJson(value: unknown): ExactJson {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'bigint') return new JsonNumber(String(value));
  if (value instanceof JsonNumber) return value;
  if (Array.isArray(value)) return value.map(exactJson);
  if (value instanceof Map) return new Map(Array.from(value, ([key, item]) => [String(key), exactJson(item)]));
  if (typeof value === 'object') {
    return new Map(
      Object.entries(value)
        .filter(([, item]) => item !== undefined)
        .map(([key, item]) => [key, exactJson(item)]),
    );
  }
  throw new InputError(`JSON cannot hold a ${typeof value}.`);
}
