import { existsSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '@gemmatune/schema';
import type { Prepared, PreparedRow, PrepareReport } from './prepare.js';

/** Rows are written in pieces of about this many characters. */
const PIECE = 1 << 20;

/** The text of a file, in pieces. */
type Pieces = Iterable<string> | AsyncIterable<Buffer>;

/**
 * Writes train.jsonl, eval.jsonl (where there is an evaluation side) and report.json into a folder, which is made if need be. Each
 * file appears whole or not at all.
 * @throws InputError where one of the files is already there and `overwrite` is not set
 */
export async function writePrepared(folder: string, prepared: Prepared, { overwrite = false } = {}): Promise<void> {
  const { train, eval: evaluation, report } = prepared;
  await writeRows(folder, { train: lines(train), eval: lines(evaluation), report }, overwrite);
}

/** @throws InputError where a file that `writeRows` would write is already there and `overwrite` is not set */
export function refuseRows(folder: string, overwrite: boolean): void {
  const there = ['train.jsonl', 'eval.jsonl', 'report.json']
    .map((name) => join(folder, name))
    .find((path) => existsSync(path));
  if (there !== undefined && !overwrite) {
    throw new InputError(
      `${there}: the file is already there, expected a folder without prepared rows; allow overwriting to replace it.`,
    );
  }
}

/** As `writePrepared`, from the files' own text. */
export async function writeRows(
  folder: string,
  { train, eval: evaluation, report }: { train: Pieces; eval: Pieces; report: PrepareReport },
  overwrite: boolean,
): Promise<void> {
  const files: [string, Pieces][] = [
    ['train.jsonl', train],
    ['eval.jsonl', evaluation],
    ['report.json', [`${JSON.stringify(report, null, 2)}\n`]],
  ];
  refuseRows(folder, overwrite);
  await mkdir(folder, { recursive: true });
  const written: string[] = [];
  try {
    for (const [name, text] of files) {
      if (name === 'eval.jsonl' && report.eval.rows === 0) continue;
      written.push(name);
      await write(temporary(folder, name), text);
    }
    // Nothing is replaced before everything is on the disk; an evaluation side of an earlier run must not stay beside new rows.
    if (!written.includes('eval.jsonl')) await rm(join(folder, 'eval.jsonl'), { force: true });
    for (const name of written) await rename(temporary(folder, name), join(folder, name));
  } catch (error) {
    for (const name of written) await rm(temporary(folder, name), { force: true });
    throw error;
  }
}

function temporary(folder: string, name: string): string {
  return join(folder, `.${name}.${process.pid}.tmp`);
}

async function write(path: string, text: Pieces): Promise<void> {
  const file = await open(path, 'w');
  try {
    for await (const piece of text) await file.writeFile(piece);
    await file.sync();
  } finally {
    await file.close();
  }
}

function* lines(rows: PreparedRow[]): Iterable<string> {
  let piece = '';
  for (const { json } of rows) {
    piece += `${json}\n`;
    if (piece.length >= PIECE) {
      yield piece;
      piece = '';
    }
  }
  yield piece;
}
