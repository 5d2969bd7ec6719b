/** Results in files: whole or not at all, and failures that name the file. */
import { once } from 'node:events';
import { open, rename, rm, stat } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { InputError } from '@gemmatune/schema';

/**
 * A file that appears under its name when `body` has written all of it, in place of an older one; a pipe or device is written to as it
 * is. It is opened before `body` does any work.
 * @throws InputError naming the file where it cannot be written; what `body` throws
 */
export async function withOutput<T>(
  path: string,
  body: (put: (text: string) => Promise<void>) => Promise<T>,
): Promise<T> {
  const there = await stat(path).catch(() => undefined);
  const direct = there !== undefined && !there.isFile();
  const place = direct ? path : `${path}.${process.pid}.tmp`;
  const file = await naming(path, open(place, 'w'));
  try {
    const result = await body((text) => naming(path, file.writeFile(text)));
    await naming(path, file.close());
    if (!direct) await naming(path, rename(place, path));
    return result;
  } catch (error) {
    await file.close().catch(() => {});
    if (!direct) await rm(place, { force: true });
    throw error;
  }
}

/** The result of `work` on a file or folder; the system's own refusals, which often do not say where, get its name. */
export async function naming<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (typeof code !== 'string' || !/^E[A-Z]+$/.test(code)) throw error;
    throw new InputError(`${path} cannot be written: ${REASONS[code] ?? code}.`, { cause: error });
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left on the disk',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  EACCES: 'permission is denied',
  EPERM: 'permission is denied',
  ENOENT: 'the folder it is to be in is not there',
  ENOTDIR: 'a part of its path is a file, not a folder',
  EISDIR: 'this is a folder',
};

/** Writes to a stream, and waits where the reader is slower. */
export async function write(stream: Writable, text: string): Promise<void> {
  if (!stream.write(text)) await once(stream, 'drain');
}
