import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 100;
const HEARTBEAT_MS = 5_000;
/** A lock this old belongs to a process that died on another machine (its heartbeat would have touched it). */
const STALE_MS = 60_000;

/**
 * Runs `work` while holding the lock file `path`; a second process waits. Node has no `flock`, so the lock is the file's
 * existence (made with O_EXCL); its owner's pid and a heartbeat tell a live lock from one left by a killed process.
 *
 * The lock saves double downloads; correctness does not rest on it, because blobs are hash-checked before they are named.
 */
export async function withLock<T>(path: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  const owner = JSON.stringify({ pid: process.pid, host: hostname(), id: randomUUID() });
  while (!(await acquire(path, owner))) {
    await breakIfStale(path);
    await sleep(POLL_MS, undefined, signal ? { signal } : {});
  }
  const heartbeat = setInterval(() => {
    const now = new Date();
    // The lock may be gone already; the next owner's file then needs no touch from us.
    utimes(path, now, now).catch(() => undefined);
  }, HEARTBEAT_MS);
  heartbeat.unref();
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    if ((await readFile(path, 'utf8').catch(() => '')) === owner) await rm(path, { force: true });
  }
}

async function acquire(path: string, owner: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    await file.writeFile(owner);
    await file.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function breakIfStale(path: string): Promise<void> {
  try {
    const [text, { mtimeMs }] = [await readFile(path, 'utf8'), await stat(path)];
    if (Date.now() - mtimeMs < STALE_MS && !ownerIsDead(text)) return;
    // Renaming first lets only one of several waiters break this lock.
    const broken = `${path}.${randomUUID()}`;
    await rename(path, broken);
    await rm(broken, { force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function ownerIsDead(text: string): boolean {
  let owner: { pid?: unknown; host?: unknown };
  try {
    owner = JSON.parse(text) as typeof owner;
  } catch {
    return false; // created this instant, not yet written; or another tool's: age alone decides
  }
  if (owner.host !== hostname() || typeof owner.pid !== 'number') return false;
  try {
    process.kill(owner.pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
