/** The compact tables of tokenizers already seen, one file per content hash. A cache that cannot be used is no error. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { packTables, TABLES_VERSION, type Tables, unpackTables } from './tables.js';

/** `option`, else `$GEMMATUNE_CACHE`, else `$XDG_CACHE_HOME/gemmatune`, else `~/.cache/gemmatune`. */
export function cacheFolder(option?: string): string {
  if (option) return option;
  if (process.env.GEMMATUNE_CACHE) return process.env.GEMMATUNE_CACHE;
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'gemmatune');
}

const fileOf = (folder: string, sha256: string) => join(folder, 'tokenizers', `${sha256}.v${TABLES_VERSION}.bin`);

/** The tables of the tokenizer.json with this hash, if they are cached and whole. */
export async function readCachedTables(folder: string, sha256: string): Promise<Tables | undefined> {
  try {
    const file = await readFile(fileOf(folder, sha256));
    // A copy of its own: the sections are viewed as 32-bit integers, so it must start at an aligned address.
    return unpackTables(new Uint8Array(file).buffer);
  } catch {
    return undefined;
  }
}

/** Keeps the tables; readers see the whole file or none. A read-only or full disk is passed over in silence. */
export async function writeCachedTables(folder: string, sha256: string, tables: Tables): Promise<void> {
  const path = fileOf(folder, sha256);
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    await mkdir(join(folder, 'tokenizers'), { recursive: true });
    const file = await open(temporary, 'wx');
    try {
      await file.writev(packTables(tables));
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch {
    await rm(temporary, { force: true }).catch(() => {});
  }
}
