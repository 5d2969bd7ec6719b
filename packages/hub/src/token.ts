import { homedir } from 'node:os';
import { join } from 'node:path';
import { readTextIfThere, reasonOf } from '@gemmatune/base';
import { causeOf, HubError } from './errors.js';
import { type RetryOptions, request } from './http.js';

/** The environment variables a function reads; `process.env` unless given. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface TokenOptions extends RetryOptions {
  /** A token, or `false` to send none even where one is configured. */
  token?: string | false | undefined;
  env?: Environment | undefined;
  signal?: AbortSignal | undefined;
}

/** A Hugging Face token (if any) and the words for where it came from, safe to print. */
export interface ResolvedToken {
  token?: string;
  source: string;
}

const KAGGLE_SECRET = 'HUGGINGFACE_TOKEN';

/**
 * Finds the Hugging Face token: the option, `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, the file `HF_TOKEN_PATH`,
 * `$HF_HOME/token` (default `~/.cache/huggingface/token`), and in a Kaggle notebook the secret `HUGGINGFACE_TOKEN`.
 * The order is that of Python's `huggingface_hub`, with the secret last because it costs a request.
 *
 * @throws HubError `ERR_GEMMATUNE_HUB_ARGUMENT` when a token is found that no HTTP header can carry
 */
export async function resolveToken(options: TokenOptions = {}): Promise<ResolvedToken> {
  const { env = process.env } = options;
  if (options.token === false) return { source: 'no token, as asked' };

  const found: [value: string | undefined, source: string][] = [
    [options.token, 'the token option'],
    [env.HF_TOKEN, 'HF_TOKEN'],
    [env.HUGGING_FACE_HUB_TOKEN, 'HUGGING_FACE_HUB_TOKEN'],
  ];
  const files = [env.HF_TOKEN_PATH, join(huggingFaceHome(env), 'token')].filter((file) => file !== undefined);
  for (const file of files) found.push([await readIfThere(file), `the file ${file}`]);

  for (const [value, source] of found) {
    const token = value?.trim();
    if (token) return { token: sendable(token, source), source };
  }
  return env.KAGGLE_USER_SECRETS_TOKEN
    ? readKaggleSecret(options, env, env.KAGGLE_USER_SECRETS_TOKEN)
    : { source: 'no token found' };
}

/** `$HF_HOME`, else `$XDG_CACHE_HOME/huggingface`, else `~/.cache/huggingface`, as `huggingface_hub` has it. */
export function huggingFaceHome(env: Environment): string {
  if (env.HF_HOME) return expandHome(env.HF_HOME);
  return join(env.XDG_CACHE_HOME ? expandHome(env.XDG_CACHE_HOME) : join(homedir(), '.cache'), 'huggingface');
}

export function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path;
}

/** The trimmed text of a small file, or undefined where there is none. */
export async function readIfThere(file: string): Promise<string | undefined> {
  const text = await readTextIfThere(expandHome(file)).catch((error: unknown) => {
    throw new HubError(
      'ERR_GEMMATUNE_HUB_ARGUMENT',
      `The file ${file}, where a token may be, cannot be read (${reasonOf(error)}): make it readable or move it away.`,
    );
  });
  return text?.trim();
}

/** fetch's own complaint about an impossible header value would print the token, so it is judged here. */
export function sendable(token: string, source: string, page = 'https://huggingface.co/settings/tokens'): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new HubError(
    'ERR_GEMMATUNE_HUB_ARGUMENT',
    `The token from ${source} holds a space, a line break or a non-ASCII character: copy it again from ${page}.`,
  );
}

/**
 * Reads a secret attached to the running Kaggle notebook, with the request of Kaggle's `UserSecretsClient.get_secret`.
 * Not having the secret is no error; the source says what stood in the way, for later messages about access.
 */
async function readKaggleSecret(options: TokenOptions, env: Environment, jwt: string): Promise<ResolvedToken> {
  const base = env.KAGGLE_URL_BASE || 'https://www.kaggle.com';
  try {
    const response = await request(`${base}/requests/GetUserSecretByLabelRequest`, {
      ...options,
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-Kaggle-Authorization': `Bearer ${jwt}` },
      body: JSON.stringify({ Label: KAGGLE_SECRET }),
    });
    const answer = (await response.json()) as { wasSuccessful?: boolean; result?: { secret?: string } };
    const secret = answer.wasSuccessful ? answer.result?.secret?.trim() : undefined;
    if (secret)
      return {
        token: sendable(secret, `the Kaggle secret ${KAGGLE_SECRET}`),
        source: `the Kaggle secret ${KAGGLE_SECRET}`,
      };
    return {
      source: `no token found, and this Kaggle notebook has no secret ${KAGGLE_SECRET} attached (Add-ons, Secrets)`,
    };
  } catch (error) {
    if (options.signal?.aborted || (error instanceof HubError && error.code === 'ERR_GEMMATUNE_HUB_ARGUMENT'))
      throw error;
    return { source: `no token found, and Kaggle's secrets could not be read (${causeOf(error)}; is internet on?)` };
  }
}
