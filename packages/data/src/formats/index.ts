import { open } from 'node:fs/promises';
import { expectArgument, InputError, reasonOf } from '@gemmatune/base';
import type { Format, ReadOptions, SourceRow } from './format.js';
import { json } from './json.js';
import { jsonl } from './jsonl.js';
import { parquet } from './parquet.js';

export type { Format, MalformedLine, ReadOptions, SourceRow } from './format.js';

/** Every format, asked in this order. To add one: a file beside this one and a line here; formats.test.ts picks it up. */
export const FORMATS = { parquet, json, jsonl } satisfies Record<string, Format>;
export type FormatName = keyof typeof FORMATS;

/** How many leading bytes `detect` sees. */
const HEAD_BYTES = 1 << 16;

/**
 * Which format a file has.
 * @throws InputError where the file is missing, empty or of no known format
 */
export async function detectFormat(path: string): Promise<Format> {
  const head = await readHead(path);
  if (head.length === 0) throw new InputError(`${path}: found an empty file, expected rows.`);
  const format = Object.values(FORMATS).find((known) => known.detect(path, head));
  if (format === undefined) {
    throw new InputError(`${path}: the format is not known, expected a .jsonl, .json or .parquet file.`);
  }
  return format;
}

/**
 * Reads the rows of a file in any known format, in order, without holding the file in memory (JSON documents excepted).
 * @throws InputError where the file as a whole cannot be read; single malformed lines go to `onMalformed`
 */
export async function* readRows(path: string, options?: ReadOptions): AsyncIterable<SourceRow> {
  expectArgument('readRows', 'path', path, typeof path === 'string', 'the path of a file');
  const format = await detectFormat(path);
  yield* format.read(path, options);
}

async function readHead(path: string): Promise<Buffer> {
  try {
    const handle = await open(path);
    try {
      const head = Buffer.alloc(HEAD_BYTES);
      const { bytesRead } = await handle.read(head, 0, HEAD_BYTES, 0);
      return head.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw new InputError(`${path}: ${reasonOf(error)}, expected a .jsonl, .json or .parquet file.`);
  }
}
