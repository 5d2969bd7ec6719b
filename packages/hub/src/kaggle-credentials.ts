import { stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { HubError } from './errors.js';
import { type Environment, expandHome, readIfThere, sendable } from './token.js';

/** What Kaggle's API is asked with, and the words for where it came from, safe to print. */
export interface KaggleCredentials {
  authorization?: string;
  source: string;
}

/**
 * Finds Kaggle credentials where Kaggle's own clients do: in a notebook the token file `KAGGLE_API_V1_TOKEN`; the access
 * token `KAGGLE_API_TOKEN` (itself or a file that holds it) or `~/.kaggle/access_token`; `KAGGLE_USERNAME` and
 * `KAGGLE_KEY`; `kaggle.json` in `KAGGLE_CONFIG_DIR` or `~/.kaggle`. Public models need none.
 *
 * @throws HubError `ERR_GEMMATUNE_HUB_ARGUMENT` for a `kaggle.json` that cannot be understood
 */
export async function kaggleCredentials(env: Environment): Promise<KaggleCredentials> {
  const folder = expandHome(env.KAGGLE_CONFIG_DIR || join(homedir(), '.kaggle'));
  const variable = env.KAGGLE_API_TOKEN?.trim();
  const tokens: [value: string | undefined, source: string][] = [
    [env.KAGGLE_API_V1_TOKEN && (await readIfThere(env.KAGGLE_API_V1_TOKEN)), 'the file of KAGGLE_API_V1_TOKEN'],
    // Read only where it is a file: an error of reading would print what may be a token.
    [variable && (await isFile(variable)) ? await readIfThere(variable) : variable, 'KAGGLE_API_TOKEN'],
    [await readIfThere(join(folder, 'access_token')), join(folder, 'access_token')],
  ];
  for (const [token, source] of tokens) {
    if (token) return { authorization: `Bearer ${sendable(token, source, 'https://www.kaggle.com/settings')}`, source };
  }

  if (env.KAGGLE_USERNAME && env.KAGGLE_KEY) {
    return { authorization: basic(env.KAGGLE_USERNAME, env.KAGGLE_KEY), source: 'KAGGLE_USERNAME and KAGGLE_KEY' };
  }
  const file = join(folder, 'kaggle.json');
  const text = await readIfThere(file);
  if (text === undefined) return { source: 'no Kaggle credentials found' };
  let parsed: { username?: unknown; key?: unknown };
  try {
    parsed = JSON.parse(text) as typeof parsed;
  } catch {
    // No cause: the parser's message quotes the text, and with it the key.
    throw new HubError(
      'ERR_GEMMATUNE_HUB_ARGUMENT',
      `${file} is not valid JSON: download it again from https://www.kaggle.com/settings.`,
    );
  }
  if (typeof parsed?.username !== 'string' || typeof parsed.key !== 'string') {
    throw new HubError(
      'ERR_GEMMATUNE_HUB_ARGUMENT',
      `${file} lacks "username" or "key" as text: download it again from https://www.kaggle.com/settings.`,
    );
  }
  return { authorization: basic(parsed.username, parsed.key), source: file };
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(expandHome(path)).catch(() => undefined))?.isFile() === true;
}

function basic(username: string, key: string): string {
  return `Basic ${Buffer.from(`${username}:${key}`).toString('base64')}`;
}
