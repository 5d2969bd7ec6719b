/** Filters: JSON lines in, one JSON line out for each, in the same order. */

import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { flag, InputError, isObject, reasonOf, text, writeWhole } from '@gemmatune/base';
import type { Context } from './command.js';
import { refuseExisting, write } from './output.js';

export const FILTER_OPTIONS = {
  in: text('JSON lines to read. Default: standard input.'),
  out: text('Where to write the results. Default: standard output.'),
  overwrite: flag('Replace the file of --out.'),
};

export interface Line<T> {
  /** What to call the line in an error, e.g. `rows.jsonl line 7`. */
  where: string;
  value: T;
}

/** Most lines that are worked on together. */
const GROUP = 64;

/**
 * Runs `work` over all lines. Lines that are there at once are worked on together, up to 64 of them, but a line never waits for one
 * that has not come yet: a program may write a line and read its answer. At the first wrong line all before it are answered.
 * @param parse judges one line; throws InputError
 * @throws InputError naming the file and the line
 */
export async function filterLines<T>(
  { in: from, out: to, overwrite }: { in: string | null; out: string | null; overwrite: boolean },
  context: Context,
  parse: (text: string, where: string) => T,
  work: (lines: Line<T>[]) => Promise<unknown[]>,
): Promise<void> {
  refuseExisting('--out', to, overwrite);
  const input = from === null ? context.stdin : await openForReading(from);
  const stop = () => input.destroy(context.signal.reason as Error);
  context.signal.addEventListener('abort', stop, { once: true });
  const answer = async (put: (line: string) => Promise<void>) => {
    for await (const group of groups(input, from ?? 'standard input')) {
      const lines: Line<T>[] = [];
      let wrong: unknown;
      for (const { value, where } of group) {
        try {
          lines.push({ where, value: parse(value, where) });
        } catch (error) {
          wrong = error;
          break;
        }
      }
      if (lines.length > 0) for (const result of await work(lines)) await put(`${JSON.stringify(result)}\n`);
      if (wrong !== undefined) throw wrong;
    }
  };
  try {
    const printed = (line: string) => write(context.stdout, line);
    await (to === null ? answer(printed) : writeWhole(to, answer));
  } finally {
    context.signal.removeEventListener('abort', stop);
  }
}

/** Lines of `input` that arrived together, blank ones left out. */
async function* groups(input: Readable, name: string): AsyncIterable<Line<string>[]> {
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  let number = 0;
  let rest = '';
  let ready: Line<string>[] = [];
  const take = (value: string) => {
    number++;
    if (value.trim() !== '') ready.push({ where: `${name} line ${number}`, value });
  };
  const decode = (chunk?: Uint8Array) => {
    try {
      return chunk === undefined ? utf8.decode() : utf8.decode(chunk, { stream: true });
    } catch {
      throw new InputError(`${name} line ${number + 1}: found bytes that are not UTF-8, expected JSON text.`);
    }
  };
  for await (const chunk of input as AsyncIterable<Buffer | string>) {
    const lines = (rest + (typeof chunk === 'string' ? chunk : decode(chunk))).split('\n');
    rest = lines.pop()!;
    for (const line of lines) take(line);
    for (; ready.length > 0; ready = ready.slice(GROUP)) yield ready.slice(0, GROUP);
  }
  rest += decode();
  if (rest !== '') take(rest);
  if (ready.length > 0) yield ready;
}

async function openForReading(path: string): Promise<Readable> {
  const stream = createReadStream(path, { highWaterMark: 1 << 20 });
  try {
    await once(stream, 'open');
    if ((await stat(path)).isDirectory()) throw Object.assign(new Error(), { code: 'EISDIR' });
    return stream;
  } catch (error) {
    throw new InputError(`${path}: ${reasonOf(error)}, expected a file of JSON lines.`);
  }
}

/** One line as a JSON object. @throws InputError */
export function parseObject(text: string, where: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InputError(`${where}: ${(error as Error).message}, expected a JSON object.`);
  }
  if (!isObject(value)) throw new InputError(`${where}: found ${text.trim().slice(0, 60)}, expected a JSON object.`);
  return value;
}
