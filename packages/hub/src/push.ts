import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { reasonOf } from '@gemmatune/base';
import { type CommitFile, commit, createRepo, type HubApiError, whoAmI } from '@huggingface/hub';
import { hubEndpoint } from './endpoint.js';
import { causeOf, HubError, type HubErrorCode } from './errors.js';
import type { RetryOptions } from './http.js';
import { type ModelCard, modelCard } from './model-card.js';
import { isHubId } from './repo.js';
import { type Environment, type ResolvedToken, resolveToken } from './token.js';

/** Bytes of large files that have left so far; small files travel with the final commit. */
export interface PushProgress {
  file: string;
  loaded: number;
  total: number;
}

export interface PushOptions extends RetryOptions {
  token?: string | undefined;
  /** Whether a repository made by this push is private. Default true; an existing one keeps its visibility. */
  private?: boolean | undefined;
  /** What the `README.md` says. A `README.md` in the folder goes first unless `overwriteCard` is set. */
  card?: ModelCard | undefined;
  overwriteCard?: boolean | undefined;
  /** Title of the commit. */
  message?: string | undefined;
  onProgress?: ((progress: PushProgress) => void) | undefined;
  signal?: AbortSignal | undefined;
  /** Default: `HF_ENDPOINT`, else `https://huggingface.co`. */
  endpoint?: string | undefined;
  env?: Environment | undefined;
}

/**
 * Uploads a model folder to the Hugging Face Hub as one commit: all of it or nothing. Hidden files and training
 * checkpoints (`checkpoint-*`) stay here. The folder itself is not changed.
 *
 * @param repo `owner/name`, or `name` for the token's own account; made if it is not there
 * @returns the page of the repository and the commit's hash
 * @throws HubError
 */
export async function push(
  folder: string,
  repo: string,
  options: PushOptions = {},
): Promise<{ url: string; commit: string }> {
  const { env = process.env, signal } = options;
  const endpoint = hubEndpoint(options.endpoint, env);
  if (!isHubId(repo)) {
    throw new HubError(
      'ERR_GEMMATUNE_HUB_ARGUMENT',
      `${JSON.stringify(repo)} is no name of a Hub repository: expected "owner/name".`,
    );
  }
  const token = await resolveToken(options);
  if (token.token === undefined) {
    throw new HubError(
      'ERR_GEMMATUNE_HUB_ACCESS',
      `Pushing to ${repo} needs a token with write access (${token.source}): make one at https://huggingface.co/settings/tokens and set HF_TOKEN.`,
    );
  }
  if (!token.token.startsWith('hf_')) {
    throw new HubError(
      'ERR_GEMMATUNE_HUB_ARGUMENT',
      `The token from ${token.source} is no Hugging Face token, which begins with hf_: make one at https://huggingface.co/settings/tokens.`,
    );
  }
  const files = await filesToPush(folder);
  if (!files.includes('config.json')) {
    throw new HubError(
      'ERR_GEMMATUNE_HUB_ARGUMENT',
      `${folder} has no config.json: expected a model folder in the Hugging Face layout.`,
    );
  }
  const operations: CommitFile[] = files.map((path) => ({
    operation: 'addOrUpdate',
    path,
    content: pathToFileURL(join(folder, path)),
  }));
  if (options.card && (options.overwriteCard || !files.includes('README.md'))) {
    const readme: CommitFile = {
      operation: 'addOrUpdate',
      path: 'README.md',
      content: new Blob([modelCard(options.card)]),
    };
    operations.splice(files.includes('README.md') ? files.indexOf('README.md') : files.length, 1, readme);
  }

  const sizes = new Map<string, number>();
  for (const { path, content } of operations) {
    sizes.set(path, content instanceof Blob ? content.size : (await stat(content)).size);
  }

  const credentials = { accessToken: token.token, hubUrl: endpoint };
  try {
    const name = repo.includes('/') ? repo : `${(await whoAmI(credentials)).name}/${repo}`;
    await createRepo({
      ...credentials,
      repo: { type: 'model', name },
      visibility: (options.private ?? true) ? 'private' : 'public',
    }).catch((error: HubApiError) => {
      if (error.statusCode !== 409) throw error; // 409: it is there already
    });
    const done = await commit({
      ...credentials,
      repo: { type: 'model', name },
      operations,
      title: options.message ?? 'Upload model trained with gemmatune',
      // Plain LFS: the xet client of this library chunks and hashes on the main thread, which would block it.
      useXet: false,
      fetch: uploadFetch(sizes, options),
      ...(signal && { abortSignal: signal }),
    });
    return { url: `${endpoint}/${name}`, commit: done?.commit.oid ?? '' };
  } catch (error) {
    signal?.throwIfAborted();
    throw pushError(error, repo, endpoint, token);
  }
}

/** Regular files (also through links, as caches have them), without hidden ones and checkpoints. */
async function filesToPush(folder: string, prefix = ''): Promise<string[]> {
  const place = join(folder, prefix);
  const entries = await readdir(place, { withFileTypes: true }).catch((error: unknown) => {
    const reason = reasonOf(error, { ENOENT: 'there is no such folder', ENOTDIR: 'it is no folder' });
    throw new HubError(
      'ERR_GEMMATUNE_HUB_NOT_FOUND',
      `${place} cannot be pushed (${reason}): expected a model folder.`,
    );
  });
  const files: string[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith('.') || /^checkpoint-/.test(entry.name)) continue;
    const path = prefix ? `${prefix}/${entry.name}` : entry.name;
    if (entry.isDirectory()) files.push(...(await filesToPush(folder, path)));
    else if ((await stat(join(folder, path)).catch(() => undefined))?.isFile()) files.push(path);
  }
  return files;
}

/**
 * The `fetch` that the Hub library uploads with: counts the bytes of large files as they leave, and repeats a part whose
 * upload failed (its address is signed, so repeating is safe).
 */
function uploadFetch(
  sizes: Map<string, number>,
  { onProgress, retries = 3, retryDelayMs = 500 }: PushOptions,
): typeof fetch {
  const sent = new Map<string, Map<number, number>>();
  const report = ({ path, part = 0 }: UploadHint, loaded: number) => {
    const parts = sent.get(path) ?? new Map<number, number>();
    sent.set(path, parts.set(part, loaded));
    const sum = [...parts.values()].reduce((total, bytes) => total + bytes, 0);
    onProgress?.({ file: path, loaded: sum, total: sizes.get(path) ?? sum });
  };
  return async (input, init) => {
    const { progressHint: hint, body, method, signal } = (init ?? {}) as RequestInit & { progressHint?: UploadHint };
    if (method !== 'PUT' || hint === undefined || !(body instanceof Blob)) return fetch(input, init);
    for (let failures = 0; ; failures++) {
      try {
        const response = await fetch(input, { ...init, body: countReads(body, (loaded) => report(hint, loaded)) });
        if (response.status < 500 || failures >= retries) return response;
        await response.body?.cancel();
      } catch (error) {
        if (signal?.aborted || failures >= retries) throw error;
      }
      await sleep(retryDelayMs * 2 ** failures, undefined, signal ? { signal } : {});
    }
  };
}

/** What the Hub library says about a PUT: the file, and which part of it in a multipart upload. */
interface UploadHint {
  path: string;
  part?: number;
}

/** The same blob (fetch takes its length from it), whose stream reports how much was read. */
function countReads(blob: Blob, onRead: (loaded: number) => void): Blob {
  const copy = blob.slice(0, blob.size);
  const open = copy.stream.bind(copy);
  let loaded = 0;
  const counter = () =>
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        loaded += chunk.length;
        onRead(loaded);
        controller.enqueue(chunk);
      },
    });
  return Object.defineProperty(copy, 'stream', { value: () => open().pipeThrough(counter()) });
}

function pushError(error: unknown, repo: string, endpoint: string, token: ResolvedToken): HubError {
  if (error instanceof HubError) return error;
  const status = (error as Partial<HubApiError>).statusCode;
  const make = (code: HubErrorCode, message: string) => new HubError(code, message, { cause: error });
  const { host } = new URL(endpoint);
  if (status === 401)
    return make(
      'ERR_GEMMATUNE_HUB_ACCESS',
      `${host} refused the token from ${token.source} (401): make a new one at https://huggingface.co/settings/tokens.`,
    );
  if (status === 403) {
    return make(
      'ERR_GEMMATUNE_HUB_ACCESS',
      `The token from ${token.source} may not write to ${repo} (403): make one with write access to it at https://huggingface.co/settings/tokens.`,
    );
  }
  if (status !== undefined)
    return make(
      'ERR_GEMMATUNE_HUB_SERVER',
      `Pushing to ${repo} at ${host} failed with ${status} (${reasonOf(error)}): nothing was committed.`,
    );
  return make(
    'ERR_GEMMATUNE_HUB_NETWORK',
    `Pushing to ${repo} at ${host} failed (${causeOf(error)}): nothing was committed, run again.`,
  );
}
