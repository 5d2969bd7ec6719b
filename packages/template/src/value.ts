/**
 * Values a template prints, and JSON read so that numbers keep what Python would print.
 *
 * The reference templates run in Python: 20.0 prints as "20.0", 1e16 as "1e+16", 12345678901234567890 in full. A
 * JavaScript number holds none of these apart from 20, 10000000000000000 and 12345678901234567000, so `parseExactJson`
 * keeps the printed text of just those numbers in a `NumberText`.
 */
import type { Json, Message, Tool } from '@gemmatune/schema';

/** A number that a JavaScript number cannot print as Python does. */
export class NumberText {
  /** @param text what Python's `str()` gives */
  constructor(readonly text: string) {}
}

export type TemplateObject = { [key: string]: TemplateValue };
export type TemplateValue = null | boolean | number | string | NumberText | TemplateValue[] | TemplateObject;

/** A `Message` whose values may hold `NumberText`, and whose call arguments may be a JSON text (pasted as it stands). */
export interface TemplateMessage {
  role: Message['role'];
  content?: TemplateValue;
  name?: string;
  tool_calls?: {
    type?: 'function';
    id?: string;
    function: { name: string; arguments?: TemplateObject | string };
  }[];
}

/** A `Tool` whose parameters may hold `NumberText`. */
export interface TemplateTool {
  type?: Tool['type'];
  function: { name: string; description?: string; parameters?: TemplateObject };
}

/** The value with JavaScript numbers only; digits that do not fit a double are lost. */
export function toJson(value: TemplateValue): Json {
  if (value instanceof NumberText) return Number(value.text);
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toJson(item)]));
}

/** What Python's `str(float)` gives: the shortest digits, ".0" on whole numbers, an exponent below 1e-4 and from 1e16 on. */
export function pythonFloatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  const [mantissa, power] = value.toExponential().split('e') as [string, string];
  const exponent = Number(power);
  if (value !== 0 && (exponent < -4 || exponent >= 16)) {
    return `${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  const plain = String(value);
  return plain.includes('.') ? plain : `${plain}.0`;
}

/** What Python prints for a JavaScript number, taken as an int where it is whole. */
export function numberText(value: number): string {
  return Number.isInteger(value) ? BigInt(value).toString() : pythonFloatText(value);
}

/**
 * JSON as Python's `json.loads` reads it: NaN and Infinity are numbers, the last of repeated keys counts.
 * @throws SyntaxError that names the offset
 */
export function parseExactJson(text: string): TemplateValue {
  let at = 0;
  const fail = (expected: string): never => {
    const found = at < text.length ? JSON.stringify(text.slice(at, at + 20)) : 'the end';
    throw new SyntaxError(`JSON offset ${at}: expected ${expected}, found ${found}.`);
  };
  /** Consumes what the sticky pattern matches. */
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const match = pattern.exec(text)?.[0];
    if (match !== undefined) at += match.length;
    return match;
  };
  const skipBlanks = () => take(/[ \t\n\r]*/y);
  const takeSign = (sign: string): boolean => {
    skipBlanks();
    if (text[at] !== sign) return false;
    at++;
    return true;
  };

  const readString = (): string => {
    const start = at;
    const quoted = take(/"(?:[^"\\]|\\.)*"/sy) ?? fail('a string');
    try {
      return JSON.parse(quoted) as string;
    } catch {
      at = start;
      return fail('a string without raw control characters or unknown escapes');
    }
  };
  const readNumber = (): TemplateValue | undefined => {
    const digits = take(/-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y);
    return digits === undefined ? undefined : exactNumber(digits);
  };
  const readObject = (): TemplateObject => {
    const object: TemplateObject = {};
    if (takeSign('}')) return object;
    do {
      skipBlanks();
      const key = readString();
      if (!takeSign(':')) fail('":"');
      // A key called __proto__ is a key like any other.
      Object.defineProperty(object, key, { value: readValue(), enumerable: true, writable: true, configurable: true });
    } while (takeSign(','));
    if (!takeSign('}')) fail('"," or "}"');
    return object;
  };
  const readArray = (): TemplateValue[] => {
    const items: TemplateValue[] = [];
    if (takeSign(']')) return items;
    do items.push(readValue());
    while (takeSign(','));
    if (!takeSign(']')) fail('"," or "]"');
    return items;
  };
  const readValue = (): TemplateValue => {
    if (takeSign('{')) return readObject();
    if (takeSign('[')) return readArray();
    if (text[at] === '"') return readString();
    const word = take(/true|false|null|NaN|-?Infinity/y);
    if (word !== undefined) return WORDS[word as keyof typeof WORDS];
    return readNumber() ?? fail('a JSON value');
  };

  const value = readValue();
  skipBlanks();
  if (at < text.length) fail('the end');
  return value;
}

const WORDS = { true: true, false: false, null: null, NaN: Number.NaN, Infinity: Infinity, '-Infinity': -Infinity };

/** A plain number where that prints the same. */
function exactNumber(digits: string): number | NumberText {
  const value = Number(digits);
  if (!/[.eE]/.test(digits)) {
    if (Number.isSafeInteger(value)) return value === 0 ? 0 : value;
    return new NumberText(BigInt(digits).toString());
  }
  const text = pythonFloatText(value);
  return text === numberText(value) ? value : new NumberText(text);
}
