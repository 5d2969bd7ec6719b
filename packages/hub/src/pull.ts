import { mkdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import {
  blobPath,
  type CachedRepo,
  cachedRepo,
  hasBlob,
  hubCacheDir,
  linkSnapshot,
  listFolder,
  missingFiles,
  type RepoType,
  readRef,
  snapshotPath,
  writeRef,
} from './cache.js';
import { download } from './download.js';
import { hubEndpoint } from './endpoint.js';
import { HubError, inCache } from './errors.js';
import type { RetryOptions } from './http.js';
import { withLock } from './lock.js';
import { isPlainPath, matchesAny } from './paths.js';
import {
  authorization,
  fileUrl,
  type HubRepo,
  isHubId,
  listFiles,
  type RepoFile,
  refusal,
  resolveCommit,
} from './repo.js';
import { type Environment, resolveToken } from './token.js';

/** How far a pull is. Bytes that were in the cache already count as loaded. */
export interface PullProgress {
  /** The file that just moved. */
  file: string;
  /** Bytes over all chosen files. */
  loaded: number;
  total: number;
}

export interface PullOptions extends RetryOptions {
  /** Default `model`. */
  repoType?: RepoType | undefined;
  /** Branch, tag or commit. Default `main`. */
  revision?: string | undefined;
  /** Only files that match one of these patterns (Python's fnmatch: `*` also matches `/`). Default all. */
  allow?: readonly string[] | undefined;
  /** No file that matches one of these. */
  ignore?: readonly string[] | undefined;
  /** A token, or `false` for none; see `resolveToken` for where one is found otherwise. */
  token?: string | false | undefined;
  onProgress?: ((progress: PullProgress) => void) | undefined;
  /** Stops the pull; what was loaded is kept and the next pull goes on from it. */
  signal?: AbortSignal | undefined;
  /** Only look into the cache. Default: whether `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` is set to 1, true, yes or on. */
  offline?: boolean | undefined;
  /** Default: `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `$HF_HOME/hub`, `~/.cache/huggingface/hub`. */
  cacheDir?: string | undefined;
  /** Default: `HF_ENDPOINT`, else `https://huggingface.co`. */
  endpoint?: string | undefined;
  /** Default `process.env`. */
  env?: Environment | undefined;
}

const PARALLEL_FILES = 4;

/**
 * Brings a model or data set of the Hugging Face Hub into the cache that Python's `huggingface_hub` uses too, and returns
 * the snapshot folder. Interrupted files are continued, every file is hash-checked, and nothing appears under its name
 * before it is whole.
 *
 * @throws HubError with a code for each cause: `_ACCESS` (gated, bad token), `_NOT_FOUND`, `_NETWORK`, `_OFFLINE`,
 * `_CORRUPT`, `_DISK`, `_SERVER`, `_ARGUMENT`
 */
export async function pull(id: string, options: PullOptions = {}): Promise<string> {
  const { allow, ignore = [] } = options;
  const { folder } = await pullFiles(id, options, (paths) =>
    paths.filter((path) => (!allow || matchesAny(path, allow)) && !matchesAny(path, ignore)),
  );
  return folder;
}

/** `pull` with any choice of files: `choose` sees all names and returns those wanted (it may throw). */
export async function pullFiles(
  id: string,
  options: PullOptions,
  choose: (paths: string[]) => string[],
): Promise<{ folder: string; paths: string[] }> {
  const { repoType = 'model', revision = 'main', env = process.env, signal } = options;
  if (!isHubId(id)) {
    throw new HubError(
      'ERR_GEMMATUNE_HUB_ARGUMENT',
      `${JSON.stringify(id)} is no id of a Hub repository: expected "organisation/name".`,
    );
  }
  if (!isPlainPath(revision)) {
    const text = `The revision ${JSON.stringify(revision)} of ${id} is no name of a branch, tag or commit.`;
    throw new HubError('ERR_GEMMATUNE_HUB_ARGUMENT', text);
  }
  const cacheDir = hubCacheDir(options.cacheDir, env);
  const cached = cachedRepo(cacheDir, repoType, id);
  if (options.offline ?? isOffline(env)) return fromCache(id, cached, revision, choose);

  const repo: HubRepo = {
    endpoint: hubEndpoint(options.endpoint, env),
    repoType,
    id,
    token: await resolveToken(options),
    signal,
    retries: options.retries,
    retryDelayMs: options.retryDelayMs,
  };
  const { commit, files } = await list(repo, revision, cached, choose);
  const paths = choose(files.map((file) => file.path));
  const wanted = new Set(paths);
  const chosen = files.filter((file) => wanted.has(file.path));
  await inCache(cacheDir, 'HF_HUB_CACHE', async () => {
    await fetchBlobs(repo, cached, commit, chosen, options.onProgress);
    for (const file of chosen) await linkSnapshot(cached, commit, file.path, file.etag);
    // Last, so that an offline run never takes a half-made snapshot for the branch.
    await writeRef(cached, revision, commit);
  });
  return { folder: snapshotPath(cached, commit), paths };
}

function isOffline(env: Environment): boolean {
  return /^(1|on|yes|true)$/i.test(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE || '');
}

/** Asks the Hub what there is. Where it cannot be reached, the error says whether the cache would do. */
async function list(repo: HubRepo, revision: string, cached: CachedRepo, choose: (paths: string[]) => string[]) {
  try {
    const commit = await resolveCommit(repo, revision);
    return { commit, files: await listFiles(repo, commit) };
  } catch (error) {
    if (!(error instanceof HubError && error.code === 'ERR_GEMMATUNE_HUB_NETWORK')) throw error;
    const usable = await fromCache(repo.id, cached, revision, choose).catch(() => undefined);
    const advice = usable
      ? `a complete copy of ${repo.id} lies in ${usable.folder}, set HF_HUB_OFFLINE=1 to use it`
      : `${repo.id} is not complete in the cache ${cached.root} either`;
    throw new HubError(error.code, `${error.message.replace(/\.$/, '')}; ${advice}.`, { cause: error });
  }
}

/** The snapshot the cache holds for a revision, if nothing of it is known to be missing. */
async function fromCache(id: string, cached: CachedRepo, revision: string, choose: (paths: string[]) => string[]) {
  const commit = await readRef(cached, revision);
  const folder = snapshotPath(cached, commit ?? '');
  const present = commit ? await listFolder(folder).catch(() => []) : [];
  const absent = present.length > 0 ? await missingFiles(folder) : [];
  const chosen = present.length > 0 ? choose([...present, ...absent]) : [];
  if (chosen.length === 0) {
    throw new HubError(
      'ERR_GEMMATUNE_HUB_OFFLINE',
      `${id} at revision ${revision} is not in the cache ${cached.root} and offline mode is on: pull it once with network (without the offline option, HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE).`,
    );
  }
  const missing = chosen.filter((name) => absent.includes(name));
  if (missing.length > 0) {
    throw new HubError(
      'ERR_GEMMATUNE_HUB_OFFLINE',
      `${id} in the cache ${folder} lacks ${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ` and ${missing.length - 3} more` : ''} and offline mode is on: pull it once with network.`,
    );
  }
  return { folder, paths: chosen };
}

/** Downloads every blob that is not there yet, a few at a time; the first failure stops the others. */
async function fetchBlobs(
  repo: HubRepo,
  cached: CachedRepo,
  commit: string,
  files: RepoFile[],
  onProgress: PullOptions['onProgress'],
): Promise<void> {
  const total = files.reduce((sum, file) => sum + file.size, 0);
  let loaded = 0;
  const moved = (file: RepoFile, bytes: number) => {
    loaded += bytes;
    onProgress?.({ file: file.path, loaded, total });
  };

  // One download per blob: two names may share a content.
  const queue: RepoFile[] = [];
  const chosen = new Set<string>();
  for (const file of files) {
    if (chosen.has(file.etag) || (await hasBlob(cached, file.etag, file.size))) moved(file, file.size);
    else queue.push(file);
    chosen.add(file.etag);
  }
  if (queue.length === 0) return;
  await mkdir(join(cached.root, 'blobs'), { recursive: true });
  await checkSpace(cached, repo.id, queue);

  const failed = new AbortController();
  const signal = repo.signal ? AbortSignal.any([repo.signal, failed.signal]) : failed.signal;
  const worker = async () => {
    for (let file = queue.shift(); file; file = queue.shift()) {
      await fetchBlob({ ...repo, signal }, cached, commit, file, moved);
    }
  };
  const workers = Array.from({ length: Math.min(PARALLEL_FILES, queue.length) }, () =>
    worker().catch((error: unknown) => {
      failed.abort(error);
      throw error;
    }),
  );
  // Wait for all of them, so that nothing is still being written when this function rejects.
  const outcomes = await Promise.allSettled(workers);
  if (failed.signal.aborted) throw repo.signal?.aborted ? repo.signal.reason : failed.signal.reason;
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

async function fetchBlob(
  repo: HubRepo,
  cached: CachedRepo,
  commit: string,
  file: RepoFile,
  moved: (file: RepoFile, bytes: number) => void,
): Promise<void> {
  const blob = blobPath(cached, file.etag);
  await withLock(join(cached.locks, `${file.etag}.gemmatune.lock`), repo.signal, async () => {
    if (await hasBlob(cached, file.etag, file.size)) return moved(file, file.size);
    let before = 0;
    await download({
      url: fileUrl(repo, commit, file.path),
      headers: authorization(repo),
      name: `${repo.id}/${file.path}`,
      file: blob,
      partial: `${blob}.incomplete`,
      size: file.size,
      digest: file.digest,
      signal: repo.signal,
      retries: repo.retries,
      retryDelayMs: repo.retryDelayMs,
      refusal: (response) => refusal(repo, response, commit),
      onBytes: (bytes) => {
        moved(file, bytes - before);
        before = bytes;
      },
    });
  });
}

/** Says so before the download when the disk cannot hold what is still to come. */
async function checkSpace(cached: CachedRepo, id: string, files: RepoFile[]): Promise<void> {
  const { bavail, bsize } = await statfs(cached.root);
  let needed = 0;
  for (const file of files) {
    const partial = await stat(`${blobPath(cached, file.etag)}.incomplete`).catch(() => undefined);
    needed += Math.max(0, file.size - (partial?.size ?? 0));
  }
  if (needed > bavail * bsize) {
    throw new HubError(
      'ERR_GEMMATUNE_HUB_DISK',
      `${id} needs ${needed} more bytes in ${cached.root} and the disk has ${bavail * bsize} free: free space, or name another place with HF_HUB_CACHE.`,
    );
  }
}
