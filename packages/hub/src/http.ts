import { setTimeout as sleep } from 'node:timers/promises';
import { shown } from '@gemmatune/base';
import { causeOf, HubError } from './errors.js';

/** How often and how patiently a request is repeated. */
export interface RetryOptions {
  /** Repeats after the first try, on lost connections and on 408, 429 and 5xx answers. Default 2. */
  retries?: number | undefined;
  /** Wait before the first repeat in milliseconds; doubles each time. Default 500. */
  retryDelayMs?: number | undefined;
}

export interface RequestOptions extends RetryOptions {
  method?: 'GET' | 'POST';
  headers?: Record<string, string>;
  body?: string;
  signal?: AbortSignal | undefined;
}

const MAX_REDIRECTS = 10;
const MAX_RETRY_AFTER_MS = 60_000;
const RETRIED_STATUS = new Set([408, 429, 500, 502, 503, 504]);

/**
 * `fetch` that repeats on passing faults and follows redirects itself, so that `Authorization` never leaves the origin
 * it was meant for (the Hub and Kaggle both redirect downloads to signed addresses of a storage host).
 *
 * Resolves to any final answer, 4xx included.
 * @throws HubError `ERR_GEMMATUNE_HUB_NETWORK` when the host cannot be reached, `_SERVER` when it keeps failing.
 */
export async function request(url: string, options: RequestOptions = {}): Promise<Response> {
  const { retries = 2, retryDelayMs = 500, signal } = options;
  for (let failures = 0; ; failures++) {
    signal?.throwIfAborted();
    let waitMs = retryDelayMs * 2 ** failures;
    try {
      const response = await follow(url, options);
      if (!RETRIED_STATUS.has(response.status)) return response;
      await response.body?.cancel();
      if (failures >= retries) {
        throw new HubError(
          'ERR_GEMMATUNE_HUB_SERVER',
          `${new URL(url).host} answered ${response.status} ${failures + 1} times: its service is in trouble or limits the rate, try again later.`,
        );
      }
      const retryAfterSeconds = Number(response.headers.get('retry-after') ?? Number.NaN);
      if (retryAfterSeconds >= 0) waitMs = Math.min(retryAfterSeconds * 1000, MAX_RETRY_AFTER_MS);
    } catch (error) {
      if (signal?.aborted || error instanceof HubError) throw error;
      if (failures >= retries) throw unreachable(url, error);
    }
    await sleep(waitMs, undefined, signal ? { signal } : {});
  }
}

/** The JSON of an answer. @throws HubError `_SERVER` where it is something else, `_NETWORK` where half of it came */
export async function jsonOf(response: Response, url: string): Promise<unknown> {
  const text = await response.text().catch((error: unknown) => {
    throw error instanceof TypeError ? unreachable(url, error) : error; // anything else is the caller's abort
  });
  try {
    return JSON.parse(text);
  } catch (error) {
    const instead = `${url} answered ${shown(text)}, expected JSON`;
    const message = `${instead}: does a proxy or a sign-in page stand between here and ${new URL(url).host}?`;
    throw new HubError('ERR_GEMMATUNE_HUB_SERVER', message, { cause: error });
  }
}

/** The error for a host that does not answer at all. */
function unreachable(url: string, error: unknown): HubError {
  return new HubError(
    'ERR_GEMMATUNE_HUB_NETWORK',
    `${new URL(url).host} cannot be reached (${causeOf(error)}): check the network connection.`,
    { cause: error },
  );
}

async function follow(url: string, { method = 'GET', headers = {}, body, signal }: RequestOptions): Promise<Response> {
  let target = new URL(url);
  let sent = headers;
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const response = await fetch(target, {
      method,
      headers: sent,
      redirect: 'manual',
      body: body ?? null,
      signal: signal ?? null,
    });
    const location = response.headers.get('location');
    if (response.status < 300 || response.status >= 400 || location === null) return response;
    await response.body?.cancel();
    const next = new URL(location, target);
    if (next.origin !== target.origin) {
      sent = Object.fromEntries(Object.entries(sent).filter(([name]) => name.toLowerCase() !== 'authorization'));
    }
    target = next;
  }
  throw new HubError(
    'ERR_GEMMATUNE_HUB_SERVER',
    `${url} redirects more than ${MAX_REDIRECTS} times, to ${target.host} at last: try again later.`,
  );
}
