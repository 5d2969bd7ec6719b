import { readFile, stat } from 'node:fs/promises';
import { InputError } from '@gemmatune/base';
import { type ExactJson, type ExactObject, parseExactJson } from '@gemmatune/schema';
import type { Format, ReadOptions, SourceRow } from './format.js';

/** V8's strings end near 2^29 characters; larger documents cannot be parsed in one piece. */
const MAX_BYTES = 2 ** 29 - 24;

/** Where a document that is an object keeps its rows. */
const ROW_KEYS = ['data', 'rows'];

/**
 * One JSON document: a list of objects, `{"data": [..]}` or `{"rows": [..]}` with other keys beside, or a single row. The whole file
 * is held in memory; JSON lines and Parquet are streamed. A row's `line` is its number.
 */
export const json: Format = { name: 'json', detect, read };

/** Many files called .json hold JSON lines: those whose first line is a row of its own are left to that reader. */
function detect(path: string, head: Buffer): boolean {
  const text = withoutMark(head.toString('utf8')).trimStart();
  if (text.startsWith('[')) return true;
  if (!/\.json$/i.test(path)) return false;
  const end = text.indexOf('\n');
  const first = parsedObject(end < 0 ? text : text.slice(0, end));
  return first === undefined ? end >= 0 : rowsIn(first) !== undefined;
}

async function* read(path: string, { onMalformed }: ReadOptions = {}): AsyncIterable<SourceRow> {
  const { size } = await stat(path);
  if (size > MAX_BYTES) {
    throw new InputError(
      `${path}: found a JSON document of ${size} bytes, expected at most ${MAX_BYTES}; write it as JSON lines.`,
    );
  }
  let line = 0;
  for (const value of rowsOf(await document(path), path)) {
    line++;
    if (value instanceof Map) yield { line, value };
    else onMalformed?.({ line, reason: 'not an object' });
  }
}

async function document(path: string): Promise<ExactJson> {
  const text = withoutMark(await readFile(path, 'utf8'));
  try {
    return parseExactJson(text);
  } catch (error) {
    throw new InputError(`${path}: ${(error as Error).message}.`);
  }
}

function rowsOf(value: ExactJson, path: string): ExactJson[] {
  if (Array.isArray(value)) return value;
  if (value instanceof Map) return rowsIn(value) ?? [value];
  throw new InputError(`${path}: found no list of rows, expected [{..}, ..] or {"data": [{..}, ..]}.`);
}

function rowsIn(object: ExactObject): ExactJson[] | undefined {
  return ROW_KEYS.map((key) => object.get(key)).find((value) => Array.isArray(value));
}

function parsedObject(text: string): ExactObject | undefined {
  try {
    const value = parseExactJson(text);
    return value instanceof Map ? value : undefined;
  } catch {
    return undefined;
  }
}

function withoutMark(text: string): string {
  return text.replace(/^\ufeff/, '');
}
