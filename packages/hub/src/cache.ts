import { randomUUID } from 'node:crypto';
import {
  copyFile,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { type Environment, expandHome, huggingFaceHome } from './token.js';

export type RepoType = 'model' | 'dataset';

/** A repository's place in the cache that Python's `huggingface_hub` and this package share. */
export interface CachedRepo {
  /** `<cache>/models--org--name` or `<cache>/datasets--org--name`, holding `blobs`, `refs` and `snapshots`. */
  root: string;
  /** Where the locks of its blobs lie. */
  locks: string;
}

/** The Hub cache: the option, `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, else `hub` in Hugging Face's home folder. */
export function hubCacheDir(cacheDir?: string, env: Environment = process.env): string {
  const chosen = cacheDir ?? env.HF_HUB_CACHE ?? env.HUGGINGFACE_HUB_CACHE;
  return chosen ? expandHome(chosen) : join(huggingFaceHome(env), 'hub');
}

export function cachedRepo(cacheDir: string, repoType: RepoType, id: string): CachedRepo {
  const folder = `${repoType}s--${id.replaceAll('/', '--')}`;
  return { root: join(cacheDir, folder), locks: join(cacheDir, '.locks', folder) };
}

/** A blob is named by its etag: the SHA-256 of a large file, git's blob hash of a small one. */
export function blobPath(repo: CachedRepo, etag: string): string {
  return join(repo.root, 'blobs', etag);
}

export function snapshotPath(repo: CachedRepo, commit: string): string {
  return join(repo.root, 'snapshots', commit);
}

/** The commit a branch or tag had when it was last pulled; a full commit hash is its own. */
export async function readRef(repo: CachedRepo, revision: string): Promise<string | undefined> {
  if (/^[0-9a-f]{40}$/.test(revision)) return revision;
  try {
    return (await readFile(join(repo.root, 'refs', revision), 'utf8')).trim();
  } catch {
    return undefined;
  }
}

export async function writeRef(repo: CachedRepo, revision: string, commit: string): Promise<void> {
  if ((await readRef(repo, revision)) === commit) return; // a full hash, or as it was: a shared cache may be read-only
  const path = join(repo.root, 'refs', revision);
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${randomUUID()}.tmp`;
  await writeFile(temporary, commit);
  await rename(temporary, path);
}

/**
 * Makes `snapshots/<commit>/<name>` point to a blob: a relative symbolic link, so that the cache can be moved; a copy
 * where the system refuses links.
 */
export async function linkSnapshot(repo: CachedRepo, commit: string, name: string, etag: string): Promise<void> {
  const pointer = join(snapshotPath(repo, commit), name);
  const blob = blobPath(repo, etag);
  const target = relative(dirname(pointer), blob);
  if ((await readlink(pointer).catch(() => undefined)) === target) return;
  await mkdir(dirname(pointer), { recursive: true });
  const temporary = `${pointer}.${randomUUID()}.tmp`;
  try {
    await symlink(target, temporary);
  } catch (error) {
    if (!['EPERM', 'EACCES', 'ENOSYS', 'ENOTSUP', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
    await copyFile(blob, temporary);
  }
  await rename(temporary, pointer);
}

/** Whether a blob of the right size is there (its hash was checked before it got its name). */
export async function hasBlob(repo: CachedRepo, etag: string, size: number): Promise<boolean> {
  const found = await stat(blobPath(repo, etag)).catch(() => undefined);
  if (found && found.size !== size) await rm(blobPath(repo, etag), { force: true });
  return found?.size === size;
}

/** All files under a folder as `/`-separated names, sorted. Links to files are files; links to nothing are left out. */
export async function listFolder(folder: string): Promise<string[]> {
  const names: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if ((await stat(path).catch(() => undefined))?.isFile()) names.push(relative(folder, path).replaceAll('\\', '/'));
  }
  return names.sort();
}

/**
 * What a snapshot lacks, as far as the disk alone can tell: links whose blob is gone, and shards of a series
 * `…-00001-of-00003` that are not there. Empty means complete.
 */
export async function missingFiles(snapshot: string): Promise<string[]> {
  const missing: string[] = [];
  const present = new Set(await listFolder(snapshot));
  for (const entry of await readdir(snapshot, { recursive: true })) {
    const name = entry.replaceAll('\\', '/');
    if ((await lstat(join(snapshot, entry))).isSymbolicLink() && !present.has(name)) missing.push(name);
  }
  for (const name of present) {
    const series = /^(.*-)(\d{5})-of-(\d{5})(.*)$/.exec(name);
    if (!series) continue;
    const [, head = '', , total = '', tail = ''] = series;
    // Weights count their shards from 1, data sets from 0.
    const first = present.has(`${head}00000-of-${total}${tail}`) ? 0 : 1;
    for (let shard = first; shard < first + Number(total); shard++) {
      const sibling = `${head}${String(shard).padStart(5, '0')}-of-${total}${tail}`;
      if (!present.has(sibling) && !missing.includes(sibling)) missing.push(sibling);
    }
  }
  return missing.sort();
}
