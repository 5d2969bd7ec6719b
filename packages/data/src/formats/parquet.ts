import { type FileHandle, open } from 'node:fs/promises';
import { InputError, shown } from '@gemmatune/base';
import { type ExactJson, type ExactObject, JsonNumber } from '@gemmatune/schema';
import {
  type AsyncBuffer,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
  type SchemaTree,
} from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import type { Format, SourceRow } from './format.js';

const MAGIC = 'PAR1';

/** Parquet: every codec and encoding `datasets`, pandas and pyarrow write. Memory stays at one row group. */
export const parquet: Format = {
  name: 'parquet',
  detect: (path, head) => head.subarray(0, 4).toString('latin1') === MAGIC || /\.parquet$/i.test(path),
  read,
};

async function* read(path: string): AsyncIterable<SourceRow> {
  const handle = await open(path);
  try {
    const file = await asyncBuffer(handle);
    const metadata = await readMetadata(file, path);
    const columns = parquetSchema(metadata).children;
    let start = 0;
    for (const group of metadata.row_groups) {
      const end = start + Number(group.num_rows);
      const rows = await readGroup(file, metadata, start, end, path);
      for (const [i, row] of rows.entries()) {
        yield { line: start + i + 1, value: struct(row, columns, false) };
      }
      start = end;
    }
  } finally {
    await handle.close();
  }
}

async function asyncBuffer(handle: FileHandle): Promise<AsyncBuffer> {
  const { size } = await handle.stat();
  return {
    byteLength: size,
    async slice(start, end = size) {
      const bytes = new Uint8Array(end - start);
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, start);
      return bytes.buffer.slice(0, bytesRead);
    },
  };
}

async function readMetadata(file: AsyncBuffer, path: string): Promise<FileMetaData> {
  const tail = file.byteLength < 12 ? '' : Buffer.from(await file.slice(file.byteLength - 4)).toString('latin1');
  if (tail !== MAGIC) {
    throw new InputError(
      `${path}: found ${shown(tail)} in the last 4 of ${file.byteLength} bytes, expected ${shown(MAGIC)}: the Parquet file is cut off or damaged; fetch it again.`,
    );
  }
  return readable(path, () => parquetMetadataAsync(file));
}

function readGroup(file: AsyncBuffer, metadata: FileMetaData, rowStart: number, rowEnd: number, path: string) {
  return readable(`${path}: rows ${rowStart + 1} to ${rowEnd}`, () =>
    parquetReadObjects({ file, metadata, rowStart, rowEnd, compressors }),
  );
}

async function readable<T>(where: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw new InputError(
      `${where}: the Parquet data cannot be read (${(error as Error).message}); fetch the file again.`,
    );
  }
}

/**
 * A struct as an object with its columns in schema order. Writers give every struct of a column the fields of all of them, absent
 * ones as null: in declarations and arguments those nulls would be printed into prompts, so there (`dropNulls`) they are left out.
 */
function struct(row: Record<string, unknown>, columns: SchemaTree[], dropNulls: boolean): ExactObject {
  const object: ExactObject = new Map();
  for (const column of columns) {
    const { name } = column.element;
    const value = exact(row[name], column, dropNulls || name === 'tools' || name === 'arguments');
    if (value !== null || !dropNulls) object.set(name, value);
  }
  return object;
}

/** What hyparquet decoded, with the number kinds the schema knows: a double 5 is Python's 5.0, a 64-bit integer keeps all digits. */
function exact(value: unknown, node: SchemaTree, dropNulls: boolean): ExactJson {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'bigint') return new JsonNumber(String(value));
  if (typeof value === 'number') return isFloat(node) ? JsonNumber.float(value) : new JsonNumber(String(value));
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map((item) => exact(item, element(node), dropNulls));
  if (ArrayBuffer.isView(value)) {
    throw new InputError(
      `the Parquet column ${node.path.join('.')} holds bytes, expected text, numbers, lists or structs.`,
    );
  }
  return struct(value as Record<string, unknown>, node.children, dropNulls);
}

/** Numbers of an integer physical type without a decimal scale are integers; everything else Python shows as a float. */
function isFloat({ element: { type, converted_type } }: SchemaTree): boolean {
  return !(type === 'INT32' || type === 'INT64') || converted_type === 'DECIMAL';
}

/** The schema of a list's items: `list<element>` is a group with one repeated group with one child; older writers leave a level out. */
function element(list: SchemaTree): SchemaTree {
  const repeated = list.children[0];
  if (repeated?.element.repetition_type !== 'REPEATED') return list;
  return repeated.children.length === 1 ? (repeated.children[0] as SchemaTree) : repeated;
}
