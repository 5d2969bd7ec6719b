import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { printExactJson } from '@gemmatune/schema';
import { describe, expect, it } from 'vitest';
import { scratch } from '../scratch.case.js';
import { detectFormat, FORMATS, type FormatName, type MalformedLine, readRows } from './index.js';

export interface Read {
  rows: string[];
  lines: number[];
  malformed: MalformedLine[];
}

/** All rows of a file, printed exactly. */
export async function readAll(path: string): Promise<Read> {
  const read: Read = { rows: [], lines: [], malformed: [] };
  for await (const { line, value } of readRows(path, { onMalformed: (bad) => read.malformed.push(bad) })) {
    read.rows.push(printExactJson(value));
    read.lines.push(line);
  }
  return read;
}

/** What every format promises, asked of a file whose rows are known. */
export function formatSuite(name: FormatName, path: string, expectedRows: string[]): void {
  describe(`${name}: ${path.split('/').at(-1)}`, () => {
    it('is detected', async () => {
      expect((await detectFormat(path)).name).toBe(name);
    });

    it('reads back exactly, in order, with line numbers from 1', async () => {
      const { rows, lines, malformed } = await readAll(path);
      expect(rows).toEqual(expectedRows);
      expect(lines).toEqual(expectedRows.map((_, i) => i + 1));
      expect(malformed).toEqual([]);
    });

    it('can be read again and left in the middle', async () => {
      for await (const { line } of FORMATS[name].read(path)) if (line === 2) break;
      expect((await readAll(path)).rows).toHaveLength(expectedRows.length);
    });

    it('says what is wrong with a file cut off', async () => {
      const cut = join(scratch(), `cut.${name}`);
      const bytes = readFileSync(path);
      writeFileSync(cut, bytes);
      truncateSync(cut, Math.floor(bytes.length * 0.6));
      if (name === 'jsonl') {
        const { rows, malformed } = await readAll(cut);
        expect(rows).toEqual(expectedRows.slice(0, rows.length));
        expect(malformed).toEqual([{ line: rows.length + 1, reason: expect.stringContaining('not JSON: the end') }]);
      } else {
        await expect(readAll(cut)).rejects.toThrow(cut);
      }
    });

    it('says when a file is missing or empty', async () => {
      const folder = scratch();
      const missing = join(folder, `missing.${name}`);
      await expect(readAll(missing)).rejects.toThrow(`${missing}: there is no such file`);
      const empty = join(folder, `empty.${name}`);
      writeFileSync(empty, '');
      await expect(readAll(empty)).rejects.toThrow(`${empty}: found an empty file`);
    });
  });
}
