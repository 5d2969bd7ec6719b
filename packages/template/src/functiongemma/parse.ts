/** Function calls in generated text, read back: the inverse of the renderer, and of the tutorial's one-JSON form. */
import { shown } from '@gemmatune/base';
import { type FunctionCall, type Json, type JsonObject, parseExactJson, plainJson } from '@gemmatune/schema';

export interface ParsedCalls {
  /** Every call that could be read, in order. */
  calls: FunctionCall[];
  /** The text outside calls, up to the token that ends the turn. */
  content: string;
  /** What could not be read; `offset` is a place in the parsed text, in UTF-16 units. */
  errors: { offset: number; message: string }[];
}

const CALL_START = '<start_function_call>';
const CALL_END = '<end_function_call>';
const ESCAPE = '<escape>';
/** Outside a call these end what the model says; what follows was made up or belongs to the next turn. */
const STOPS = /<start_function_response>|<end_of_turn>|<eos>/g;

/**
 * Reads the calls of one model turn, as generated: nested objects, arrays, numbers, booleans, None or null, several
 * calls. Anything may stand between `<escape>` pairs except `<escape>`. A call whose only argument is called `args`
 * and holds the JSON text of an object is read as the tutorial form. Never throws.
 */
export function parseCalls(text: string): ParsedCalls {
  const result: ParsedCalls = { calls: [], content: '', errors: [] };
  let at = 0;
  for (;;) {
    const start = text.indexOf(CALL_START, at);
    const outside = text.slice(at, start < 0 ? undefined : start);
    STOPS.lastIndex = 0;
    const stop = STOPS.exec(outside);
    result.content += stop ? outside.slice(0, stop.index) : outside;
    if (stop || start < 0) break;

    const reader = new CallReader(text, start + CALL_START.length, result.errors);
    try {
      result.calls.push(reader.readCall());
      at = reader.at;
    } catch (error) {
      if (!(error instanceof GarbledCall)) throw error;
      result.errors.push({ offset: error.offset, message: error.message });
      at = endOfGarbledCall(text, start + CALL_START.length);
    }
  }
  result.content = result.content.trim();
  return result;
}

/** Behind the end of the call, or at the next call or stop token, whichever comes first. */
function endOfGarbledCall(text: string, from: number): number {
  const end = text.indexOf(CALL_END, from);
  const next = text.indexOf(CALL_START, from);
  STOPS.lastIndex = from;
  const stop = STOPS.exec(text)?.index ?? -1;
  const places = [end < 0 ? -1 : end + CALL_END.length, next, stop].filter((place) => place >= 0);
  return places.length > 0 ? Math.min(...places) : text.length;
}

class GarbledCall extends Error {
  constructor(
    readonly offset: number,
    message: string,
  ) {
    super(message);
  }
}

/** Reads one call from `at` on. Errors that leave the call readable go to `errors`, others are thrown. */
class CallReader {
  constructor(
    readonly text: string,
    public at: number,
    readonly errors: ParsedCalls['errors'],
  ) {}

  readCall(): FunctionCall {
    this.expect('call:');
    const name = this.takeUntil(/[{<]/g, '"{" after the function name').trim();
    if (name === '') this.fail('a function name');
    const fields = this.readObject();
    const call = { name, arguments: this.unwrapTutorialForm(fields) };
    this.expect(CALL_END);
    return call;
  }

  private unwrapTutorialForm(fields: JsonObject): JsonObject {
    const keys = Object.keys(fields);
    const { args } = fields;
    if (keys.length !== 1 || typeof args !== 'string' || !args.trimStart().startsWith('{')) return fields;
    try {
      return plainJson(parseExactJson(args.trim())) as JsonObject;
    } catch (error) {
      throw new GarbledCall(this.at, `The arguments are ${(error as Error).message}.`);
    }
  }

  private readObject(): JsonObject {
    const object: JsonObject = {};
    this.expect('{');
    if (this.take('}')) return object;
    do {
      const key = this.take(ESCAPE) ? this.readEscaped() : this.takeUntil(/[:{}]|<escape>/g, '":" after a key').trim();
      this.expect(':');
      // A key called __proto__ is a key like any other.
      Object.defineProperty(object, key, {
        value: this.readValue(),
        enumerable: true,
        writable: true,
        configurable: true,
      });
    } while (this.take(','));
    this.expect('}');
    return object;
  }

  private readArray(): Json[] {
    const items: Json[] = [];
    this.expect('[');
    if (this.take(']')) return items;
    do items.push(this.readValue());
    while (this.take(','));
    this.expect(']');
    return items;
  }

  private readValue(): Json {
    if (this.take(ESCAPE)) return this.readEscaped();
    this.skipBlanks();
    if (this.text[this.at] === '{') return this.readObject();
    if (this.text[this.at] === '[') return this.readArray();
    const start = this.at;
    const bare = this.takeUntil(/[,}\]]|<e|<s/g, '"," or a closing bracket after a value').trim();
    const word = WORDS.get(bare);
    if (word !== undefined) return word;
    if (bare === '') this.fail('a value');
    if (/^-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/.test(bare)) return Number(bare);
    this.errors.push({
      offset: start,
      message: `Expected a value, found the bare text ${shown(bare)}; taken as a string.`,
    });
    return bare;
  }

  private readEscaped(): string {
    return this.takeUntil(/<escape>/g, 'the closing <escape>', ESCAPE.length);
  }

  /** The text up to the first match of `pattern`, of which `skip` characters are consumed too. */
  private takeUntil(pattern: RegExp, expected: string, skip = 0): string {
    pattern.lastIndex = this.at;
    const end = pattern.exec(this.text)?.index ?? this.fail(expected);
    const taken = this.text.slice(this.at, end);
    this.at = end + skip;
    return taken;
  }

  private skipBlanks(): void {
    while (this.at < this.text.length && this.text[this.at]!.trim() === '') this.at++;
  }

  /** Consumes `token` where it comes next, blanks before it or not. */
  private take(token: string): boolean {
    this.skipBlanks();
    if (!this.text.startsWith(token, this.at)) return false;
    this.at += token.length;
    return true;
  }

  private expect(token: string): void {
    if (!this.take(token)) this.fail(JSON.stringify(token));
  }

  private fail(expected: string): never {
    const found = this.at < this.text.length ? JSON.stringify(this.text.slice(this.at, this.at + 30)) : 'the end';
    throw new GarbledCall(this.at, `Expected ${expected}, found ${found}.`);
  }
}

/** Python's and JSON's spellings. */
const WORDS = new Map<string, Json>([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['None', null],
  ['null', null],
  ['nan', Number.NaN],
  ['inf', Number.POSITIVE_INFINITY],
  ['-inf', Number.NEGATIVE_INFINITY],
]);
