import { randomUUID } from 'node:crypto';
import { readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { shown } from '@gemmatune/base';
import { download } from './download.js';
import { kaggleEndpoint } from './endpoint.js';
import { HubError, inCache } from './errors.js';
import { jsonOf, type RetryOptions, request } from './http.js';
import { type KaggleCredentials, kaggleCredentials } from './kaggle-credentials.js';
import { withLock } from './lock.js';
import { extractTar } from './tar.js';
import { type Environment, expandHome } from './token.js';

/** `owner/model/framework/variation[/version]`, as Kaggle writes the handle of a model. */
export interface KaggleHandle {
  owner: string;
  model: string;
  framework: string;
  variation: string;
  version?: number;
}

export interface KaggleOptions extends RetryOptions {
  /** Where a notebook's inputs are attached. Default `KAGGLE_CACHE_MOUNT_FOLDER`, else `/kaggle/input`. */
  inputDir?: string | undefined;
  /** kagglehub's cache. Default `KAGGLEHUB_CACHE`, else `~/.cache/kagglehub`. */
  kaggleCacheDir?: string | undefined;
  /** Default `KAGGLE_API_ENDPOINT`, else `https://www.kaggle.com`. */
  kaggleEndpoint?: string | undefined;
  /** Only look at attached and cached models. */
  offline?: boolean | undefined;
  /** Bytes of the archive so far; Kaggle does not tell the total beforehand. */
  onProgress?: ((progress: { file: string; loaded: number }) => void) | undefined;
  signal?: AbortSignal | undefined;
  env?: Environment | undefined;
}

/** Reads `[kaggle:]owner/model/framework/variation[/version]`. */
export function parseKaggleHandle(spec: string): KaggleHandle {
  const parts = spec.replace(/^kaggle:/, '').split('/');
  const [owner = '', model = '', framework = '', variation = '', version] = parts;
  const wellFormed =
    parts.length >= 4 &&
    parts.length <= 5 &&
    [owner, model, framework, variation].every((part) => /^[A-Za-z0-9][\w.-]*$/.test(part)) &&
    (version === undefined || /^[1-9]\d*$/.test(version));
  if (!wellFormed) {
    throw new HubError(
      'ERR_GEMMATUNE_HUB_ARGUMENT',
      `${JSON.stringify(spec)} is no Kaggle model: expected kaggle:owner/model/framework/variation or the same with /version, as in kaggle:google/functiongemma/transformers/functiongemma-270m-it.`,
    );
  }
  return { owner, model, framework, variation, ...(version !== undefined && { version: Number(version) }) };
}

/**
 * A Kaggle model as a local folder: attached to the notebook, else in kagglehub's cache, else downloaded into it with
 * Kaggle's API (`models/<owner>/<model>/<framework>/<variation>/<version>` and a `<version>.complete` beside it).
 *
 * @throws HubError with the page to accept the licence on, or the place to get credentials from
 */
export async function pullKaggle(spec: string, options: KaggleOptions = {}): Promise<string> {
  const handle = parseKaggleHandle(spec);
  const { env = process.env } = options;
  const inputDir = options.inputDir ?? env.KAGGLE_CACHE_MOUNT_FOLDER ?? '/kaggle/input';
  const attached = await findAttached(inputDir, handle);
  if (attached) return attached;

  const { owner, model, framework, variation } = handle;
  const cacheDir = expandHome(options.kaggleCacheDir ?? env.KAGGLEHUB_CACHE ?? join(homedir(), '.cache', 'kagglehub'));
  const home = join(cacheDir, 'models', owner, model, framework, variation);
  if (options.offline) {
    const version = handle.version ?? (await newestComplete(home));
    if (version !== undefined && (await isComplete(home, version))) return join(home, String(version));
    throw new HubError(
      'ERR_GEMMATUNE_HUB_OFFLINE',
      `The Kaggle model ${spec.replace(/^kaggle:/, '')} is neither attached under ${inputDir} nor complete in ${home}, and offline mode is on: pull it once without the offline option.`,
    );
  }
  if (handle.version !== undefined && (await isComplete(home, handle.version)))
    return join(home, String(handle.version));

  const credentials = await kaggleCredentials(env);
  const api = `${kaggleEndpoint(options.kaggleEndpoint, env)}/api/v1/models/${owner}/${model}/${framework}/${variation}`;
  const version = handle.version ?? (await currentVersion(api, handle, credentials, options));
  const fetchOnce = async () => {
    if (!(await isComplete(home, version))) await fetchVersion(api, home, version, handle, credentials, options);
  };
  const lock = join(home, `${version}.gemmatune.lock`);
  await inCache(cacheDir, 'KAGGLEHUB_CACHE', () => withLock(lock, options.signal, fetchOnce));
  return join(home, String(version));
}

async function fetchVersion(
  api: string,
  home: string,
  version: number,
  handle: KaggleHandle,
  credentials: KaggleCredentials,
  options: KaggleOptions,
): Promise<void> {
  const archive = join(home, `${version}.archive`);
  const name = `${handle.owner}/${handle.model}/${handle.framework}/${handle.variation}/${version}`;
  await download({
    url: `${api}/${version}/download`,
    headers: authorization(credentials),
    name,
    file: archive,
    partial: `${archive}.incomplete`,
    signal: options.signal,
    retries: options.retries,
    retryDelayMs: options.retryDelayMs,
    onBytes: (loaded) => options.onProgress?.({ file: name, loaded }),
    refusal: (response) => refusal(response, handle, credentials),
  });
  const unpacked = join(home, `${version}.${randomUUID()}.tmp`);
  const folder = join(home, String(version));
  try {
    await extractTar(archive, unpacked, options.signal);
    // Without its marker a folder of this name is what an interrupted download left.
    await rm(folder, { recursive: true, force: true });
    await rename(unpacked, folder);
    await writeFile(join(home, `${version}.complete`), '');
  } finally {
    await rm(unpacked, { recursive: true, force: true });
    await rm(archive, { force: true });
  }
}

async function currentVersion(
  api: string,
  handle: KaggleHandle,
  credentials: KaggleCredentials,
  options: KaggleOptions,
): Promise<number> {
  const response = await request(`${api}/get`, { ...options, headers: authorization(credentials) });
  if (!response.ok) throw await refusal(response, handle, credentials);
  const answer = (await jsonOf(response, `${api}/get`)) as { versionNumber?: unknown } | null;
  const versionNumber = answer?.versionNumber;
  if (typeof versionNumber === 'number' && Number.isInteger(versionNumber)) return versionNumber;
  throw new HubError(
    'ERR_GEMMATUNE_HUB_SERVER',
    `${api}/get gave no whole number in "versionNumber" (found ${shown(versionNumber)}): name the version, as in …/${handle.variation}/1.`,
  );
}

function authorization(credentials: KaggleCredentials): Record<string, string> {
  return credentials.authorization ? { Authorization: credentials.authorization } : {};
}

async function refusal(response: Response, handle: KaggleHandle, credentials: KaggleCredentials): Promise<HubError> {
  await response.body?.cancel();
  const page = `https://www.kaggle.com/models/${handle.owner}/${handle.model}`;
  const name = `The Kaggle model ${handle.owner}/${handle.model}/${handle.framework}/${handle.variation}`;
  const getCredentials =
    'make a token at https://www.kaggle.com/settings and set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY, or save it as ~/.kaggle/kaggle.json';
  if (response.status === 404) {
    return new HubError(
      'ERR_GEMMATUNE_HUB_NOT_FOUND',
      `${name}${handle.version ? `/${handle.version}` : ''} was not found: check the handle at ${page}.`,
    );
  }
  if (!credentials.authorization && [401, 403].includes(response.status)) {
    return new HubError(
      'ERR_GEMMATUNE_HUB_ACCESS',
      `${name} needs a signed-in account (${response.status}, ${credentials.source}): accept its licence at ${page}, then ${getCredentials}.`,
    );
  }
  if (response.status === 401) {
    return new HubError(
      'ERR_GEMMATUNE_HUB_ACCESS',
      `Kaggle refused the credentials from ${credentials.source} (401): ${getCredentials}.`,
    );
  }
  if (response.status === 403) {
    return new HubError(
      'ERR_GEMMATUNE_HUB_ACCESS',
      `${name} is closed to the account of ${credentials.source} (403): accept its licence at ${page} with that account, then run again.`,
    );
  }
  return new HubError(
    'ERR_GEMMATUNE_HUB_SERVER',
    `${name} was refused with ${response.status} ${response.statusText}: see ${page}.`,
  );
}

/**
 * The folder of a model attached to the notebook: `models/owner/model/framework/variation/version` under the input
 * folder, or the older `model/framework/variation/version`. Kaggle writes the framework in either case.
 */
async function findAttached(inputDir: string, handle: KaggleHandle): Promise<string | undefined> {
  const { owner, model, framework, variation } = handle;
  for (const parts of [
    ['models', owner, model, framework, variation],
    [model, framework, variation],
  ]) {
    let folder: string | undefined = inputDir;
    for (const part of parts) folder = folder && (await childFolder(folder, part));
    if (!folder) continue;
    const versions = await numericNames(folder, /^(\d+)$/);
    const version = handle.version ?? Math.max(...versions);
    if (versions.includes(version)) return join(folder, String(version));
  }
  return undefined;
}

async function childFolder(folder: string, name: string): Promise<string | undefined> {
  const entries = await readdir(folder).catch(() => []);
  const entry = entries.find((candidate) => candidate.toLowerCase() === name.toLowerCase());
  return entry && join(folder, entry);
}

async function isComplete(home: string, version: number): Promise<boolean> {
  const [marker, folder] = await Promise.all(
    [`${version}.complete`, String(version)].map((name) => stat(join(home, name)).catch(() => undefined)),
  );
  return marker !== undefined && folder?.isDirectory() === true;
}

async function newestComplete(home: string): Promise<number | undefined> {
  const versions = await numericNames(home, /^(\d+)\.complete$/);
  return versions.length > 0 ? Math.max(...versions) : undefined;
}

async function numericNames(folder: string, pattern: RegExp): Promise<number[]> {
  const names = await readdir(folder).catch(() => []);
  return names.flatMap((name) => pattern.exec(name)?.[1] ?? []).map(Number);
}
