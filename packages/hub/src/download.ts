import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { causeOf, HubError } from './errors.js';
import { type RetryOptions, request } from './http.js';

/** What a file's content must hash to, in hex. `git-sha1` is git's blob hash: SHA-1 of `blob <size>\0` and the content. */
export interface Digest {
  algorithm: 'sha256' | 'git-sha1' | 'md5';
  value: string;
}

export interface Download extends RetryOptions {
  url: string;
  headers: Record<string, string>;
  /** Name of the file in messages. */
  name: string;
  /** Where the verified file ends up; it appears in one step or not at all. */
  file: string;
  /** Where bytes are collected; what an interrupted run leaves here, the next one continues. */
  partial: string;
  /** Bytes, where known beforehand; else the server's word is taken. */
  size?: number;
  /** Where not known beforehand, an MD5 in the storage host's `x-goog-hash` is used. */
  digest?: Digest;
  signal?: AbortSignal | undefined;
  /** Called with the bytes collected so far. It may also fall back, when a partial file turns out useless. */
  onBytes?: (loaded: number) => void;
  /** The error for an answer of 4xx. */
  refusal: (response: Response) => HubError | Promise<HubError>;
}

/** Known beforehand or learnt from the server's headers. */
interface Expected {
  size: number | undefined;
  digest: Digest | undefined;
}

/** A connection that delivers nothing for this long counts as lost. */
const STALL_MS = 30_000;

/**
 * Downloads one file: continues a partial one with `Range`, survives lost connections, verifies the hash of what lies on
 * disk, then renames. A wrong hash discards everything and starts over once.
 *
 * @throws HubError `_NETWORK` (lost too often; the partial file stays), `_DISK` (it stays too), `_CORRUPT`, or `refusal`'s
 */
export async function download(request: Download): Promise<void> {
  await mkdir(dirname(request.partial), { recursive: true });
  for (let attempt = 0; ; attempt++) {
    const expected = await collect(request);
    const { size } = await stat(request.partial);
    const found = expected.digest && (await hashFile(request.partial, expected.digest.algorithm));
    if ((expected.size ?? size) === size && found === expected.digest?.value) break;
    await rm(request.partial, { force: true });
    if (attempt > 0) {
      const wanted = expected.digest
        ? `${expected.digest.algorithm} ${expected.digest.value}`
        : `${expected.size} bytes`;
      throw new HubError(
        'ERR_GEMMATUNE_HUB_CORRUPT',
        `${request.name} arrived damaged twice from ${new URL(request.url).host}: expected ${wanted}, found ${found ?? `${size} bytes`}; nothing of it was kept, try again later or over another network.`,
      );
    }
  }
  await mkdir(dirname(request.file), { recursive: true });
  await rename(request.partial, request.file);
}

/** Brings `partial` to its full size. */
async function collect(job: Download): Promise<Expected> {
  const expected: Expected = { size: job.size, digest: job.digest };

  let file = await openPartial(job.partial);
  try {
    let loaded = (await file.stat()).size;
    // A new inode rather than a truncation: another process may hold the old one open.
    const startOver = async () => {
      await file.close();
      await rm(job.partial, { force: true });
      file = await openPartial(job.partial);
      loaded = 0;
    };
    if (expected.size !== undefined && loaded > expected.size) await startOver();
    job.onBytes?.(loaded);

    const { retries = 5, retryDelayMs = 500 } = job;
    for (let losses = 0; expected.size === undefined || loaded < expected.size; ) {
      const start = loaded;
      const stall = new AbortController();
      const response = await request(job.url, {
        ...job,
        headers: { ...job.headers, 'Accept-Encoding': 'identity', ...(start > 0 && { Range: `bytes=${start}-` }) },
        signal: job.signal ? AbortSignal.any([job.signal, stall.signal]) : stall.signal,
      });
      if (response.status === 416 && start > 0) {
        await response.body?.cancel();
        await startOver();
        continue;
      }
      if (!response.ok) throw await job.refusal(response);
      if (start > 0 && rangeStart(response) !== start) await startOver();
      const announced = totalSize(response);
      expected.size ??= announced;
      expected.digest ??= googleMd5(response);

      const timer = setTimeout(() => stall.abort(new Error(`no data for ${STALL_MS / 1000} s`)), STALL_MS);
      try {
        for await (const chunk of response.body ?? []) {
          timer.refresh();
          if (expected.size !== undefined && loaded + chunk.length > expected.size) {
            return expected; // more than the listing said: the hash of what is here will not match
          }
          // Written at its position, so that a second writer of the same file would only repeat the same bytes.
          await write(file, chunk, loaded, job);
          loaded += chunk.length;
          job.onBytes?.(loaded);
        }
        if (expected.size === undefined || loaded === expected.size) return expected;
        throw new Error('the answer ended early');
      } catch (error) {
        if (job.signal?.aborted || error instanceof HubError || !isConnectionLoss(error)) throw error;
        losses = loaded > start ? 1 : losses + 1;
        if (losses > retries) throw lost(job, loaded, expected.size, error);
        await sleep(retryDelayMs * 2 ** (losses - 1), undefined, job.signal ? { signal: job.signal } : {});
      } finally {
        clearTimeout(timer);
      }
    }
    return expected;
  } finally {
    await file.close();
  }
}

function openPartial(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDWR | constants.O_CREAT, 0o644);
}

async function write(file: FileHandle, chunk: Uint8Array, position: number, job: Download): Promise<void> {
  try {
    for (let done = 0; done < chunk.length; ) {
      done += (await file.write(chunk, done, chunk.length - done, position + done)).bytesWritten;
    }
  } catch (error) {
    throw new HubError(
      'ERR_GEMMATUNE_HUB_DISK',
      `Writing ${job.name} to ${job.partial} failed after ${position} of ${job.size ?? 'unknown'} bytes (${causeOf(error)}): free space there and run again, it goes on from what is kept.`,
      { cause: error },
    );
  }
}

/** undici's body errors: `terminated` with a cause, or the stall above. A caller's error in `onBytes` is none of them. */
function isConnectionLoss(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.message === 'terminated' || /^(no data for|the answer ended early)/.test(error.message);
}

function lost(job: Download, loaded: number, size: number | undefined, cause: unknown): HubError {
  return new HubError(
    'ERR_GEMMATUNE_HUB_NETWORK',
    `The connection to ${new URL(job.url).host} was lost again and again at byte ${loaded} of ${size ?? 'unknown'} of ${job.name} (${causeOf(cause)}): run again, it goes on from there.`,
    { cause },
  );
}

function rangeStart(response: Response): number | undefined {
  const match = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '');
  return response.status === 206 && match ? Number(match[1]) : undefined;
}

function totalSize(response: Response): number | undefined {
  const total = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1];
  const length = total ?? response.headers.get('content-length');
  return length === null ? undefined : Number(length);
}

/** Google Cloud Storage: `x-goog-hash: crc32c=…,md5=<base64>`. */
function googleMd5(response: Response): Digest | undefined {
  const md5 = /(?:^|[\s,])md5=([A-Za-z0-9+/=]+)/.exec(response.headers.get('x-goog-hash') ?? '')?.[1];
  return md5 ? { algorithm: 'md5', value: Buffer.from(md5, 'base64').toString('hex') } : undefined;
}

async function hashFile(path: string, algorithm: Digest['algorithm']): Promise<string> {
  const hash = createHash(algorithm === 'git-sha1' ? 'sha1' : algorithm);
  if (algorithm === 'git-sha1') hash.update(`blob ${(await stat(path)).size}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
