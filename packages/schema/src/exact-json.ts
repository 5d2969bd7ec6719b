import { pythonFloat } from './python-text.js';

/**
 * JSON exactly as Python's `json` module reads and writes it. JavaScript's own parser forgets what the reference results depend
 * on: whether a number was written 5 or 5.0, integers past 2^53, NaN and Infinity, and the order of keys such as "20" and "13".
 */
export type ExactJson = null | boolean | string | JsonNumber | ExactJson[] | ExactObject;

/** Keys in source order; of a repeated key the last value at the first position, as in a Python dict. */
export type ExactObject = Map<string, ExactJson>;

/** A number as it was written: `text` is a JSON number, NaN, Infinity or -Infinity. */
export class JsonNumber {
  constructor(readonly text: string) {}

  /** Python's float x: 5 prints as 5.0. */
  static float(x: number): JsonNumber {
    return new JsonNumber(Number.isFinite(x) ? pythonFloat(x) : String(x));
  }

  /** True where Python reads an int: no fraction, no exponent. */
  get isInteger(): boolean {
    return /^-?\d+$/.test(this.text);
  }

  get value(): number {
    return Number(this.text);
  }

  /** Python's `repr`: integers of any size as they are, floats with their shortest digits (1000.0, 1e-05, 1e+16, -0.0, nan). */
  toString(): string {
    if (this.isInteger) return this.text === '-0' ? '0' : this.text;
    return pythonFloat(this.value);
  }
}

/** Nesting beyond this is refused, as Python's parser refuses it, before the stack overflows. */
const MAX_DEPTH = 900;

/**
 * Parses one JSON document as Python's `json.loads` does.
 * @param text the document; surrounding blanks (space, tab, CR, LF) are allowed, a byte-order mark is not
 * @throws SyntaxError with the offset and what was found there
 */
export function parseExactJson(text: string): ExactJson {
  const plain = parsePlain(text);
  if (plain !== undefined) return plain;
  const parser = new Parser(text);
  const value = parser.value(0);
  parser.end();
  return value;
}

/**
 * The document where JavaScript's own parser, which is several times faster, forgets nothing of it: no number, no key that starts with
 * a digit, nothing that it refuses. undefined otherwise.
 */
function parsePlain(text: string): ExactJson | undefined {
  try {
    return fromPlain(JSON.parse(text), 0);
  } catch {
    return undefined;
  }
}

/** @throws where something was forgotten; lists are changed in place */
function fromPlain(value: unknown, depth: number): ExactJson {
  if (depth > MAX_DEPTH) throw FORGETS;
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return value;
  if (typeof value === 'number') throw FORGETS;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = fromPlain(value[i], depth + 1);
    return value;
  }
  const object: ExactObject = new Map();
  for (const key of Object.keys(value as object)) {
    const first = key.charCodeAt(0);
    if (first >= DIGIT_0 && first <= DIGIT_9) throw FORGETS;
    object.set(key, fromPlain((value as Record<string, unknown>)[key], depth + 1));
  }
  return object;
}

const FORGETS = new Error('JavaScript forgets numbers and the order of keys');
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
// Up to the closing quote, a backslash, or a control character, which JSON forbids inside strings.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const LITERALS: [string, ExactJson][] = [
  ['true', true],
  ['false', false],
  ['null', null],
  ['NaN', new JsonNumber('NaN')],
  ['Infinity', new JsonNumber('Infinity')],
  ['-Infinity', new JsonNumber('-Infinity')],
];
const ESCAPES: Record<string, string> = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

class Parser {
  private at = 0;
  constructor(private readonly text: string) {}

  value(depth: number): ExactJson {
    if (depth > MAX_DEPTH) throw this.error(`nesting deeper than ${MAX_DEPTH} levels`);
    this.blank();
    const c = this.text[this.at];
    if (c === '{') return this.object(depth);
    if (c === '[') return this.array(depth);
    if (c === '"') return this.string();
    const number = this.match(NUMBER);
    if (number !== '') return new JsonNumber(number);
    for (const [word, value] of LITERALS) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    throw this.error(`${this.found()} where a value was expected`);
  }

  end(): void {
    this.blank();
    if (this.at < this.text.length) throw this.error(`${this.found()} after the end of the document`);
  }

  private object(depth: number): ExactObject {
    const object: ExactObject = new Map();
    this.at++;
    this.blank();
    if (this.take('}')) return object;
    for (;;) {
      this.blank();
      if (this.text[this.at] !== '"') throw this.error(`${this.found()} where a key in double quotes was expected`);
      const key = this.string();
      this.blank();
      if (!this.take(':')) throw this.error(`${this.found()} where ":" was expected`);
      object.set(key, this.value(depth + 1));
      this.blank();
      if (this.take('}')) return object;
      if (!this.take(',')) throw this.error(`${this.found()} where "," or "}" was expected`);
    }
  }

  private array(depth: number): ExactJson[] {
    const array: ExactJson[] = [];
    this.at++;
    this.blank();
    if (this.take(']')) return array;
    for (;;) {
      array.push(this.value(depth + 1));
      this.blank();
      if (this.take(']')) return array;
      if (!this.take(',')) throw this.error(`${this.found()} where "," or "]" was expected`);
    }
  }

  private string(): string {
    this.at++;
    let text = this.match(PLAIN);
    while (!this.take('"')) {
      if (!this.take('\\')) throw this.error(`${this.found()} inside a string`);
      text += this.escape() + this.match(PLAIN);
    }
    return text;
  }

  private escape(): string {
    const c = this.text[this.at++] ?? '';
    if (c === 'u') {
      const hex = this.text.slice(this.at, this.at + 4);
      if (!/^[0-9a-fA-F]{4}$/.test(hex)) throw this.error('a \\u escape without four hexadecimal digits');
      this.at += 4;
      return String.fromCharCode(Number.parseInt(hex, 16));
    }
    const escaped = ESCAPES[c];
    if (escaped === undefined) throw this.error(`the unknown escape \\${c}`);
    return escaped;
  }

  private blank(): void {
    for (;;) {
      const c = this.text.charCodeAt(this.at);
      if (c !== 0x20 && c !== 0x09 && c !== 0x0a && c !== 0x0d) return;
      this.at++;
    }
  }

  private match(pattern: RegExp): string {
    const start = this.at;
    pattern.lastIndex = start;
    if (pattern.test(this.text)) this.at = pattern.lastIndex;
    return this.text.slice(start, this.at);
  }

  private take(c: string): boolean {
    if (this.text[this.at] !== c) return false;
    this.at++;
    return true;
  }

  private found(): string {
    return this.at < this.text.length ? JSON.stringify(this.text[this.at]) : 'the end';
  }

  private error(what: string): SyntaxError {
    return new SyntaxError(`not JSON: ${what} (character ${this.at + 1})`);
  }
}

/** Of `json.dumps(value, ensure_ascii=False)` where nothing is said. */
export interface PrintStyle {
  /** `separators=(',', ':')` instead of ", " and ": ". */
  compact?: boolean;
  /** A line for each item, so many spaces deeper than what holds it. */
  indent?: number;
  sortKeys?: boolean;
  /** Escapes all but ASCII. */
  ensureAscii?: boolean;
}

/** Prints as Python's `json.dumps` does, character for character. */
export function printExactJson(
  value: ExactJson,
  { compact = false, indent = 0, sortKeys = false, ensureAscii = false }: PrintStyle = {},
): string {
  const comma = compact || indent > 0 ? ',' : ', ';
  const colon = compact ? ':' : ': ';
  const text = ensureAscii ? (plain: string) => ascii(quote(plain)) : quote;
  const between = ([open, close]: string, items: string[], margin: string): string => {
    if (indent === 0 || items.length === 0) return `${open}${items.join(comma)}${close}`;
    const line = `\n${margin}`;
    const deeper = line + ' '.repeat(indent);
    return `${open}${deeper}${items.join(comma + deeper)}${line}${close}`;
  };
  const print = (value: ExactJson, margin: string): string => {
    if (value === null || typeof value === 'boolean') return String(value);
    if (typeof value === 'string') return text(value);
    if (value instanceof JsonNumber) return JSON_WORDS[value.toString()] ?? value.toString();
    const inner = margin + ' '.repeat(indent);
    if (Array.isArray(value))
      return between(
        '[]',
        value.map((item) => print(item, inner)),
        margin,
      );
    const entries = sortKeys ? [...value].sort(([a], [b]) => (a < b ? -1 : 1)) : [...value];
    return between(
      '{}',
      entries.map(([key, item]) => text(key) + colon + print(item, inner)),
      margin,
    );
  };
  return print(value, '');
}

/** Everything outside ASCII as \uXXXX of its UTF-16 units. */
const ascii = (text: string): string =>
  text.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** `json.dumps` spells these floats its own way. */
const JSON_WORDS: Record<string, string> = { nan: 'NaN', inf: 'Infinity', '-inf': '-Infinity' };

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const TO_ESCAPE = /["\\\u0000-\u001f]/g;
const NAMED: Record<string, string> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

function quote(text: string): string {
  // JavaScript's own printer differs in lone surrogates alone, which it escapes.
  if (text.isWellFormed()) return JSON.stringify(text);
  const escaped = text.replace(TO_ESCAPE, (c) => NAMED[c] ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return `"${escaped}"`;
}
