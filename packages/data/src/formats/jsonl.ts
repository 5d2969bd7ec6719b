import { createReadStream } from 'node:fs';
import { type ExactJson, parseExactJson } from '@gemmatune/schema';
import type { Format, ReadOptions, SourceRow } from './format.js';

const NEWLINE = 0x0a;
const BYTE_ORDER_MARK = '\ufeff';

/** JSON lines: one object per line, UTF-8. Blank lines are skipped. Memory stays at one line plus one read buffer. */
export const jsonl: Format = {
  name: 'jsonl',
  detect: (path) => /\.(jsonl|ndjson|json)$/i.test(path),
  read,
};

async function* read(path: string, { onMalformed }: ReadOptions = {}): AsyncIterable<SourceRow> {
  // JSON text is UTF-8: bytes that are not are damage, and would silently become U+FFFD.
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let line = 0;
  for await (const bytes of lines(path)) {
    line++;
    try {
      let text = utf8.decode(bytes);
      if (line === 1 && text.startsWith(BYTE_ORDER_MARK)) text = text.slice(1);
      if (text.trim() === '') continue;
      yield { line, value: object(parseExactJson(text)) };
    } catch (error) {
      // TextDecoder throws TypeError, the parser SyntaxError; anything else is not about this line.
      if (error instanceof TypeError) onMalformed?.({ line, reason: 'not UTF-8 text' });
      else if (error instanceof SyntaxError) onMalformed?.({ line, reason: error.message });
      else throw error;
    }
  }
}

/** The lines of a file as bytes, without their newlines. */
async function* lines(path: string): AsyncIterable<Buffer> {
  // A long line arrives in many chunks: they are joined once, when its end is seen.
  let parts: Buffer[] = [];
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 18 }) as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const tail = chunk.subarray(start, end);
      yield parts.length === 0 ? tail : Buffer.concat([...parts, tail]);
      parts = [];
      start = end + 1;
    }
    if (start < chunk.length) parts.push(chunk.subarray(start));
  }
  if (parts.length > 0) yield Buffer.concat(parts);
}

/** The row a line holds. @throws SyntaxError where it holds something else */
function object(value: ExactJson): SourceRow['value'] {
  if (value instanceof Map) return value;
  const found = Array.isArray(value)
    ? 'a list'
    : value === null
      ? 'null'
      : `a ${typeof value === 'object' ? 'number' : typeof value}`;
  throw new SyntaxError(`found ${found}, expected an object`);
}
