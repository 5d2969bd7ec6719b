import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Servers on 127.0.0.1 that speak as the Hub, its storage host and Kaggle do. For tests. */

export interface Seen {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
}

export interface Loopback {
  url: string;
  seen: Seen[];
  close(): Promise<void>;
}

export async function listen(
  handle: (seen: Seen, response: ServerResponse) => void | Promise<void>,
): Promise<Loopback> {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const entry: Seen = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      body: Buffer.concat(chunks).toString('utf8'),
    };
    seen.push(entry);
    await handle(entry, response);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    close: () => {
      server.closeAllConnections();
      return new Promise((done) => server.close(() => done()));
    },
  };
}

export function json(response: ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}

export function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { 'x-error-code': code, 'x-error-message': message }).end(message);
}

/** Faults of a storage host, each used up as it happens. */
export interface Faults {
  /** Connections to cut, each after so many bytes of body. */
  cutAfter: number[];
  /** Answers whose first byte is flipped. */
  damaged: number;
  /** Answers of 503. */
  unavailable: number;
  /** Answers that ignore `Range`. */
  ignoreRange: number;
}

export const noFaults = (): Faults => ({ cutAfter: [], damaged: 0, unavailable: 0, ignoreRange: 0 });

/** Serves bytes with Range requests and whatever faults are left. */
export function sendBytes(seen: Seen, response: ServerResponse, content: Buffer, faults: Faults, headers = {}): void {
  if (faults.unavailable > 0) {
    faults.unavailable--;
    response.writeHead(503).end();
    return;
  }
  const range = /^bytes=(\d+)-$/.exec(seen.headers.range ?? '');
  const ranged = range !== null && faults.ignoreRange === 0;
  if (range && faults.ignoreRange > 0) faults.ignoreRange--;
  const start = ranged ? Number(range[1]) : 0;
  if (start >= content.length && start > 0) {
    response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
    return;
  }
  const body = Buffer.from(content.subarray(start));
  if (faults.damaged > 0 && body.length > 0) {
    faults.damaged--;
    body[0] = (body[0] ?? 0) ^ 255;
  }
  response.writeHead(ranged ? 206 : 200, {
    'content-length': body.length,
    ...(ranged && { 'content-range': `bytes ${start}-${content.length - 1}/${content.length}` }),
    ...headers,
  });
  const cut = faults.cutAfter.shift();
  if (cut === undefined) response.end(body);
  else response.write(body.subarray(0, cut), () => setTimeout(() => response.destroy(), 20));
}

export interface MockHub {
  url: string;
  storageUrl: string;
  seen: Seen[];
  storageSeen: Seen[];
  faults: Faults;
  close(): Promise<void>;
}

export const COMMIT = 'c0ffee'.padEnd(40, '0');
export const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex');
export const gitSha1 = (content: Buffer) =>
  createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');

/**
 * One repository `org/name` of the given type at branch main. Files over 1,000 bytes are LFS files: their bytes come by a
 * redirect to a storage host of another origin. `gate` may answer a request itself.
 */
export async function mockHub(
  files: Record<string, Buffer>,
  options: { repoType?: 'model' | 'dataset'; gate?: (seen: Seen, response: ServerResponse) => boolean } = {},
): Promise<MockHub> {
  const { repoType = 'model', gate = () => false } = options;
  const faults = noFaults();
  const prefix = repoType === 'dataset' ? '/datasets' : '';
  const storage = await listen((seen, response) => {
    sendBytes(seen, response, files[decodeURIComponent(seen.path.slice(1))] ?? Buffer.alloc(0), faults);
  });
  const entries = Object.entries(files).map(([path, content]) => ({
    type: 'file',
    path,
    size: content.length,
    oid: gitSha1(content),
    ...(content.length > 1000 && { lfs: { oid: sha256(content), size: content.length, pointerSize: 130 } }),
  }));
  const hub = await listen((seen, response) => {
    if (gate(seen, response)) return;
    const api = `/api/${repoType}s/org/name`;
    const page = `${prefix}/org/name/resolve/${COMMIT}/`;
    const { pathname, searchParams } = new URL(seen.path, 'http://hub');
    if (pathname === `${api}/revision/main`) return json(response, { id: 'org/name', sha: COMMIT });
    if (pathname.startsWith(`${api}/revision/`)) return refuse(response, 404, 'RevisionNotFound', 'Invalid rev id');
    if (pathname === `${api}/tree/${COMMIT}`) {
      // Two pages, to exercise the Link header (which names the public host, as the real one does behind a mirror).
      const second = searchParams.get('cursor') === '2';
      const half = Math.ceil(entries.length / 2);
      const link = `<https://public.example${api}/tree/${COMMIT}?recursive=true&cursor=2>; rel="next"`;
      return json(response, second ? entries.slice(half) : entries.slice(0, half), second ? {} : { link });
    }
    const name = pathname.startsWith(page) ? decodeURIComponent(pathname.slice(page.length)) : '';
    const content = files[name];
    if (!content) return refuse(response, 404, 'RepoNotFound', 'Repository not found');
    if (content.length <= 1000)
      return sendBytes(seen, response, content, noFaults(), { etag: `"${gitSha1(content)}"` });
    response
      .writeHead(302, { location: `${storage.url}/${encodeURIComponent(name)}`, 'x-linked-etag': sha256(content) })
      .end();
  });
  return {
    url: hub.url,
    storageUrl: storage.url,
    seen: hub.seen,
    storageSeen: storage.seen,
    faults,
    close: async () => {
      await Promise.all([hub.close(), storage.close()]);
    },
  };
}
