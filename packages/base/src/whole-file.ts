/** Files that appear under their names whole or not at all. */
import { open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { InputError } from './errors.js';
import { isSystemError, reasonOf } from './found.js';

/** A file that is written beside the one whose name it takes in the end. A pipe or device is written to as it is. */
export interface WholeFile {
  put(piece: string | Uint8Array): Promise<void>;
  /** All of it is on the disk, under no name yet. */
  finish(): Promise<void>;
  /** It takes its name, in place of an older file. */
  appear(): Promise<void>;
  /** It is given up; an older file stays. */
  discard(): Promise<void>;
}

/** @throws InputError naming the file where it cannot be written, here and from what is returned */
export async function openWhole(path: string): Promise<WholeFile> {
  const there = await stat(path).catch(() => undefined);
  const direct = there !== undefined && !there.isFile();
  const place = direct ? path : join(dirname(path), `.${basename(path)}.${process.pid}.writing`);
  const file = await naming(path, open(place, 'w'));
  return {
    put: (piece) => naming(path, file.writeFile(piece)),
    async finish() {
      if (!direct) await naming(path, file.sync());
      await naming(path, file.close());
    },
    async appear() {
      if (!direct) await naming(path, rename(place, path));
    },
    async discard() {
      await file.close().catch(() => {});
      if (!direct) await rm(place, { force: true });
    },
  };
}

/**
 * A file that appears under its name when `body` has written all of it. It is opened before `body` does any work.
 * @throws InputError naming the file where it cannot be written; what `body` throws
 */
export async function writeWhole<T>(path: string, body: (put: WholeFile['put']) => Promise<T>): Promise<T> {
  const file = await openWhole(path);
  try {
    const result = await body(file.put);
    await file.finish();
    await file.appear();
    return result;
  } catch (error) {
    await file.discard();
    throw error;
  }
}

/** The result of `work` on a file or folder; the system's own refusals, which often do not say where, get its name. */
export async function naming<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const words = { ENOENT: 'the folder it is to be in is not there' };
    throw new InputError(`${path} cannot be written: ${reasonOf(error, words)}.`, { cause: error });
  }
}
