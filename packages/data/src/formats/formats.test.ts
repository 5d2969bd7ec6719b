import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseExactJson, printExactJson } from '@gemmatune/schema';
import { describe, expect, it } from 'vitest';
import { scratch } from '../scratch.case.js';
import { present, shared, sharedLines } from '../shared-data.case.js';
import { formatSuite, readAll } from './formats.case.js';
import { detectFormat } from './index.js';

const own = [
  '{"a": 1, "20": [5.0, 1e16], "13": null}',
  '{"a": "é\\u2028😀", "b": {"n": NaN, "big": 12345678901234567890}}',
  '{"a": -0.0}',
];
const ownPrinted = own.map((line) => printExactJson(parseExactJson(line)));

function file(name: string, content: string | Buffer): string {
  const path = join(scratch(), name);
  writeFileSync(path, content);
  return path;
}

formatSuite('jsonl', file('own.jsonl', `${own.join('\n')}\n`), ownPrinted);
formatSuite('jsonl', file('lines-called.json', own.join('\r\n')), ownPrinted);
formatSuite('json', file('own.json', `[\n${own.join(',\n')}\n]`), ownPrinted);
formatSuite('json', file('wrapped.json', `{"version": 1,\n "data": [${own.join(',')}]}`), ownPrinted);

const VARIANTS = 'hermes_style/parquet_variants';
describe.skipIf(!present(VARIANTS))(`shared data ${VARIANTS}`, () => {
  const lines = present(VARIANTS) ? sharedLines(`${VARIANTS}/rows.jsonl`) : [];
  formatSuite('jsonl', shared(`${VARIANTS}/rows.jsonl`), lines);
  formatSuite('json', file('rows.json', `[${lines.join(',\n')}]`), lines);
  const files = present(VARIANTS) ? readdirSync(shared(VARIANTS)).filter((name) => name.endsWith('.parquet')) : [];
  it('has the twelve encodings', () => expect(files).toHaveLength(12));
  for (const name of files) formatSuite('parquet', shared(`${VARIANTS}/${name}`), lines);
});

describe('jsonl', () => {
  it('reports malformed lines by number and reason and goes on', async () => {
    const path = file(
      'bad.jsonl',
      Buffer.concat([
        Buffer.from('\ufeff{"a": 1}\n\n{"a": 2,}\n[1]\n7\n{"a": "tab\there"}\n{"a": "'),
        Buffer.from([0xff, 0xfe]),
        Buffer.from('"}\n{"a": 3} x\n   \n{"a": 4}'),
      ]),
    );
    const { rows, lines, malformed } = await readAll(path);
    expect(rows).toEqual(['{"a": 1}', '{"a": 4}']);
    expect(lines).toEqual([1, 10]);
    expect(malformed).toEqual([
      { line: 3, reason: 'not JSON: "}" where a key in double quotes was expected (character 9)' },
      { line: 4, reason: 'found a list, expected an object' },
      { line: 5, reason: 'found a number, expected an object' },
      { line: 6, reason: 'not JSON: "\\t" inside a string (character 11)' },
      { line: 7, reason: 'not UTF-8 text' },
      { line: 8, reason: 'not JSON: "x" after the end of the document (character 10)' },
    ]);
  });

  it('joins lines longer than the read buffer, also where a character lies across two reads', async () => {
    const long = '€'.repeat(300_001);
    const { rows } = await readAll(file('long.jsonl', `{"a": "${long}"}\n{"a": "x${long}"}\n{"b": 1}\n`));
    expect(rows).toEqual([`{"a": "${long}"}`, `{"a": "x${long}"}`, '{"b": 1}']);
  });
});

describe('json', () => {
  it('names the place of a syntax error and refuses documents without rows', async () => {
    const bad = file('bad.json', '[{"a": 1},\n{"a": }]');
    await expect(readAll(bad)).rejects.toThrow(`${bad}: not JSON: "}" where a value was expected (character 18).`);
    const number = file('number.json', '\n7\n');
    await expect(readAll(number)).rejects.toThrow(`${number}: found no list of rows, expected [{..}, ..]`);
  });

  it('takes rows under a key, a single row over many lines, and reports items that are no rows', async () => {
    expect((await readAll(file('one-line.json', '{"rows": [{"a": 1}, {"a": 2}]}'))).rows).toEqual([
      '{"a": 1}',
      '{"a": 2}',
    ]);
    expect((await readAll(file('row.json', '{\n"turns": [{"a": 1}]\n}'))).rows).toEqual(['{"turns": [{"a": 1}]}']);
    const { rows, lines, malformed } = await readAll(file('mixed.json', '[{"a": 1}, 5, {"a": 2}]'));
    expect([rows, lines]).toEqual([
      ['{"a": 1}', '{"a": 2}'],
      [1, 3],
    ]);
    expect(malformed).toEqual([{ line: 2, reason: 'not an object' }]);
  });
});

/**
 * Two rows written by pyarrow with structs for tools: {id: int64, score: double, note, tools: [{function: {name, parameters: {x, n}}}]},
 * where each declaration has its own argument and pyarrow added the other one as null.
 */
const STRUCTS = [
  'UEFSMRUAFSwVRiwVBBUAFQYVBhwAAAAfiwgAAAAAAAIDY2JgYGBhZGQAAQUGJgYIAAAZ8WepFgAAABUAFSwVRCwVBBUAFQYVBhwAAAAfiwgAAA',
  'AAAAIDY2JgYGBhZAADEQcI/aMeAKhBf+YWAAAAFQAVFhU6LBUEFQAVBhUGHAAAAB+LCAAAAAAAAgNjYmBgYGZiBJJ5AFTWodgLAAAAFQAVLBVI',
  'LBUEFQAVBhUGHAAAAB+LCAAAAAAAAgNjYmBgYGFgApGsjEAyDUSkAwAKR/mnFgAAABUAFTAVUiwVBBUAFQYVBhwAAAAfiwgAAAAAAAIDY2JgYG',
  'ABQgYGZn0GBjYgnVeam5RaBADbT5z9GAAAABUAFSwVRiwVBBUAFQYVBhwAAAAfiwgAAAAAAAIDY2JgYGABQgYGZn0GKPhgDwCAhsCZFgAAABUA',
  'FTIVVCwVBBUAFQYVBhwAAAAfiwgAAAAAAAIDY2JgYGABQgYGZlsGBnYgnZlXkpqeWgQA6x4xYRkAAAAVABUcFUAsFQQVABUGFQYcAAAAH4sIAA',
  'AAAAACA2NiYGBgAUIGBmZTBgYAf5thjQ4AAAAVBBn8EDUAGAZzY2hlbWEVCAAVBCUCGAJpZAAVCiUCGAVzY29yZQAVDCUCGARub3RlJQBMHAAA',
  'ADUCGAV0b29scxUCFQZMPAAAADUEGARsaXN0FQIANQIYB2VsZW1lbnQVAgA1AhgIZnVuY3Rpb24VBAAVDCUCGARuYW1lJQBMHAAAADUCGApwYX',
  'JhbWV0ZXJzFQQANQIYAXgVBAAVDCUCGAR0eXBlJQBMHAAAABUKJQIYB21pbmltdW0ANQIYAW4VBAAVDCUCGAR0eXBlJQBMHAAAABUCJQIYB21p',
  'bmltdW1svAAAABYEGRwZjCYAHBUEGSUGABkYAmlkFQQWBBZSFmwmCEkcFQAVABUCADwpBhkmAAQAAAAmABwVChklBgAZGAVzY29yZRUEFgQWUh',
  'ZqJnRJHBUAFQAVAgA8KQYZJgAEAAAAJgAcFQwZJQYAGRgEbm90ZRUEFgQWPBZgJt4BSRwVABUAFQIAPBYCGQYZJgICAAAAJgAcFQwZJQYAGVgF',
  'dG9vbHMEbGlzdAdlbGVtZW50CGZ1bmN0aW9uBG5hbWUVBBYEFlIWbia+AkkcFQAVABUCADwWBBkmBAAZZgAAAAAABAAAACYAHBUMGSUGABl4BX',
  'Rvb2xzBGxpc3QHZWxlbWVudAhmdW5jdGlvbgpwYXJhbWV0ZXJzAXgEdHlwZRUEFgQWVhZ4JqwDSRwVABUAFQIAPBYMGSYEABmGAAAAAAACAAIA',
  'AAAmABwVChklBgAZeAV0b29scwRsaXN0B2VsZW1lbnQIZnVuY3Rpb24KcGFyYW1ldGVycwF4B21pbmltdW0VBBYEFlIWbCakBEkcFQAVABUCAD',
  'wpJgQAGYYAAAAAAAIAAgAAACYAHBUMGSUGABl4BXRvb2xzBGxpc3QHZWxlbWVudAhmdW5jdGlvbgpwYXJhbWV0ZXJzAW4EdHlwZRUEFgQWWBZ6',
  'JpAFSRwVABUAFQIAPBYOGSYEABmGAAAAAAACAAIAAAAmABwVAhklBgAZeAV0b29scwRsaXN0B2VsZW1lbnQIZnVuY3Rpb24KcGFyYW1ldGVycw',
  'FuB21pbmltdW0VBBYEFkIWZiaKBkkcFQAVABUCADwpJgQAGYYAAAAAAAICAAAAABb0BBYEJggW6AYAKCBwYXJxdWV0LWNwcC1hcnJvdyB2ZXJz',
  'aW9uIDI1LjAuMRmMHAAAHAAAHAAAHAAAHAAAHAAAHAAAHAAAAJUDAABQQVIx',
].join('');

describe('parquet', () => {
  it('knows number kinds from the schema, and leaves merged nulls out of declarations only', async () => {
    const { rows } = await readAll(file('structs.parquet', Buffer.from(STRUCTS, 'base64')));
    expect(rows).toEqual([
      '{"id": 9007199254740993, "score": 5.0, "note": null, "tools": [{"function": {"name": "f", "parameters": {"x": {"type": "number", "minimum": 1.0}}}}]}',
      '{"id": 2, "score": NaN, "note": "n", "tools": [{"function": {"name": "g", "parameters": {"n": {"type": "integer"}}}}]}',
    ]);
  });

  it('refuses what only looks like Parquet', async () => {
    const path = file('fake.parquet', `PAR1${'x'.repeat(100)}PAR1`);
    await expect(readAll(path)).rejects.toThrow(`${path}: the Parquet data cannot be read`);
  });

  it('is known by its first bytes whatever its name', async () => {
    expect((await detectFormat(file('data.bin', 'PAR1....'))).name).toBe('parquet');
    await expect(detectFormat(file('data.csv', 'a,b\n'))).rejects.toThrow('expected a .jsonl, .json or .parquet file');
  });
});
