import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, openWhole, type WholeFile } from '@gemmatune/base';
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
  const written: WholeFile[] = [];
  try {
    for (const [name, text] of files) {
      if (name === 'eval.jsonl' && report.eval.rows === 0) continue;
      const file = await openWhole(join(folder, name));
      written.push(file);
      for await (const piece of text) await file.put(piece);
      await file.finish();
    }
    // Nothing is replaced before everything is on the disk; an evaluation side of an earlier run must not stay beside new rows.
    if (report.eval.rows === 0) await rm(join(folder, 'eval.jsonl'), { force: true });
    for (const file of written) await file.appear();
  } catch (error) {
    for (const file of written) await file.discard();
    throw error;
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
