import { shown } from '@gemmatune/base';
import type { RepoType } from './cache.js';
import type { Digest } from './download.js';
import { HubError } from './errors.js';
import { jsonOf, type RetryOptions, request } from './http.js';
import { safeRelativePath } from './paths.js';
import type { ResolvedToken } from './token.js';

/** A repository of a Hugging Face Hub, and the right to read it. */
export interface HubRepo extends RetryOptions {
  endpoint: string;
  repoType: RepoType;
  id: string;
  token: ResolvedToken;
  signal?: AbortSignal | undefined;
}

/** One file of a repository at a commit. `etag` names its blob in the cache and is its digest. */
export interface RepoFile {
  path: string;
  /** Bytes. */
  size: number;
  etag: string;
  digest: Digest;
}

/** `org/name` as the Hub allows it. */
export function isHubId(text: string): boolean {
  return /^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)?$/.test(text) && !/--|\.\./.test(text);
}

/** `organisation/name[@revision]`, taken apart. */
export function idAndRevision(spec: string): { id: string; revision?: string } {
  const at = spec.indexOf('@');
  return at < 0 ? { id: spec } : { id: spec.slice(0, at), revision: spec.slice(at + 1) };
}

/** Where a person looks at the repository and accepts its licence. Mirrors have no such page, so it is always the Hub's. */
function repoPage(repo: Pick<HubRepo, 'repoType' | 'id'>): string {
  return `https://huggingface.co/${repo.repoType === 'dataset' ? 'datasets/' : ''}${repo.id}`;
}

export function authorization(repo: HubRepo): Record<string, string> {
  return repo.token.token === undefined ? {} : { Authorization: `Bearer ${repo.token.token}` };
}

/** The commit a branch, tag or (short) hash stands for now. */
export async function resolveCommit(repo: HubRepo, revision: string): Promise<string> {
  const url = `${repo.endpoint}/api/${repo.repoType}s/${repo.id}/revision/${encodeURIComponent(revision)}`;
  const answer = (await jsonOf(await ask(repo, url, revision), url)) as { sha?: unknown } | null;
  const sha = answer?.sha;
  if (typeof sha === 'string' && /^[0-9a-f]{40}$/.test(sha)) return sha;
  throw noHub(repo, `${url} gave ${shown(sha)} for "sha", expected a commit hash`);
}

/** All files of a commit, with their sizes and hashes. */
export async function listFiles(repo: HubRepo, commit: string): Promise<RepoFile[]> {
  const files: RepoFile[] = [];
  let url: string | undefined = `${repo.endpoint}/api/${repo.repoType}s/${repo.id}/tree/${commit}?recursive=true`;
  while (url !== undefined) {
    const response = await ask(repo, url, commit);
    const entries = await jsonOf(response, url);
    if (!Array.isArray(entries)) throw noHub(repo, `${url} gave ${shown(entries)}, expected a list of files`);
    for (const entry of entries) if (entry?.type === 'file') files.push(repoFile(entry, url, repo));
    const next = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
    // Always asked of the endpoint itself: the token must not follow a link to another host.
    const { pathname, search } = new URL(next ?? '', repo.endpoint);
    url = next && new URL(pathname + search, repo.endpoint).href;
  }
  return files;
}

/** A file of the Hub's tree listing; `oid` is git's blob hash, `lfs.oid` the SHA-256 of a large file. */
function repoFile(entry: Record<string, unknown>, url: string, repo: HubRepo): RepoFile {
  const lfs = entry.lfs as typeof entry | null | undefined;
  const { path } = entry;
  const { oid: etag, size } = lfs ?? entry;
  const isHash = typeof etag === 'string' && /^[0-9a-f]{40}([0-9a-f]{24})?$/.test(etag);
  if (typeof path !== 'string' || !isHash || typeof size !== 'number' || !(size >= 0))
    throw noHub(repo, `${url} lists ${shown(entry)}, expected a path, a size and a hash of 40 or 64 hex digits`);
  const digest: Digest = { algorithm: lfs ? 'sha256' : 'git-sha1', value: etag };
  return { path: safeRelativePath(path, repo.id), size, etag, digest };
}

function noHub(repo: HubRepo, found: string): HubError {
  return new HubError('ERR_GEMMATUNE_HUB_SERVER', `${found}: is ${repo.endpoint} a Hugging Face Hub?`);
}

/** Where a file's bytes come from; the Hub redirects large ones to a storage host. */
export function fileUrl(repo: HubRepo, commit: string, path: string): string {
  const prefix = repo.repoType === 'dataset' ? 'datasets/' : '';
  return `${repo.endpoint}/${prefix}${repo.id}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`;
}

async function ask(repo: HubRepo, url: string, revision: string): Promise<Response> {
  const response = await request(url, { ...repo, headers: authorization(repo) });
  if (response.ok) return response;
  throw await refusal(repo, response, revision);
}

/** Turns an answer of 4xx into the sentence that tells what to do, by the Hub's `X-Error-Code` and `X-Error-Message`. */
export async function refusal(repo: HubRepo, response: Response, revision: string): Promise<HubError> {
  await response.body?.cancel();
  const code = response.headers.get('x-error-code');
  const said = response.headers.get('x-error-message') ?? response.statusText;
  const host = new URL(repo.endpoint).host;
  const hasToken = repo.token.token !== undefined;
  const { source } = repo.token;
  const access = (message: string) => new HubError('ERR_GEMMATUNE_HUB_ACCESS', message);
  const notFound = (message: string) => new HubError('ERR_GEMMATUNE_HUB_NOT_FOUND', message);

  if (code === 'GatedRepo') {
    return hasToken
      ? access(
          `${repo.id} is gated and the token from ${source} has no access (${response.status}): accept the licence at ${repoPage(repo)} with that account, then run again (a fine-grained token also needs "read access to public gated repos").`,
        )
      : access(
          `${repo.id} is gated (${response.status}; ${source}): accept the licence at ${repoPage(repo)}, then set HF_TOKEN to a token of that account from https://huggingface.co/settings/tokens.`,
        );
  }
  if (code === 'RevisionNotFound')
    return notFound(`${repo.id} on ${host} has no branch, tag or commit ${JSON.stringify(revision)}.`);
  if (code === 'EntryNotFound') return notFound(`${repo.id} on ${host} has no file ${response.url} at ${revision}.`);
  if (response.status === 401 && hasToken && code !== 'RepoNotFound') {
    return access(
      `${host} refused the token from ${source} (401, ${said}): make a new one at https://huggingface.co/settings/tokens and set HF_TOKEN to it.`,
    );
  }
  if (response.status === 401 || response.status === 404) {
    return notFound(
      hasToken
        ? `The ${repo.repoType} ${repo.id} was not found on ${host}, or it is private and the token from ${source} may not see it: check the name.`
        : `The ${repo.repoType} ${repo.id} was not found on ${host}, or it is private or gated (${source}): check the name at ${repoPage(repo)}, accept its licence there if it has one, and set HF_TOKEN.`,
    );
  }
  return access(`${host} refused ${repo.id} with ${response.status} (${said}): see ${repoPage(repo)}.`);
}
