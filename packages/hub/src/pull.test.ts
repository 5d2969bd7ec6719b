import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, unlink, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { COMMIT, gitSha1, type MockHub, mockHub, refuse, sha256 } from './loopback.case.js';
import { type PullOptions, type PullProgress, pull } from './pull.js';

const weights = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7 + (i >> 8)) & 255));
const config = Buffer.from('{"model_type":"gemma3_text"}\n');
const files = {
  'config.json': config,
  'model.safetensors': weights,
  'onnx/model.onnx': Buffer.alloc(2000, 3),
  'tokenizer.json': Buffer.alloc(0),
};
const root = () => join(cacheDir, 'models--org--name');
const weightsBlob = () => join(root(), 'blobs', sha256(weights));

let cacheDir: string;
let hub: MockHub;
let opened: MockHub[] = [];

beforeEach(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), 'hub-'));
  opened = [];
  hub = await open(files);
});
afterEach(async () => {
  await Promise.all(opened.map((each) => each.close()));
  await rm(cacheDir, { recursive: true });
});

async function open(...args: Parameters<typeof mockHub>): Promise<MockHub> {
  const made = await mockHub(...args);
  opened.push(made);
  return made;
}
const options = (more: PullOptions = {}): PullOptions => ({
  endpoint: hub.url,
  cacheDir,
  env: { HF_TOKEN: 'hf_secret', HF_HOME: join(cacheDir, 'home') },
  retryDelayMs: 1,
  ...more,
});
/** The message of the HubError a promise rejects with, after its code. */
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => 'resolved',
    (error) => `${error.code}: ${error.message}`,
  );

describe('pull', () => {
  it("writes the layout of Python's cache: blobs by etag, relative links, refs", async () => {
    const folder = await pull('org/name', options());
    expect(folder).toBe(join(root(), 'snapshots', COMMIT));
    expect((await readFile(join(folder, 'model.safetensors'))).equals(weights)).toBe(true);
    expect(await readlink(join(folder, 'model.safetensors'))).toBe(`../../blobs/${sha256(weights)}`);
    expect(await readlink(join(folder, 'onnx/model.onnx'))).toMatch(/^\.\.\/\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/);
    expect(await readlink(join(folder, 'config.json'))).toBe(`../../blobs/${gitSha1(config)}`);
    expect(await readFile(join(root(), 'refs/main'), 'utf8')).toBe(COMMIT);
    expect((await readdir(join(root(), 'blobs'))).length).toBe(4);
    expect(await readdir(join(cacheDir, '.locks/models--org--name'))).toEqual([]);
  });

  it('sends the token to the Hub and never to the storage host it redirects to', async () => {
    await pull('org/name', options());
    expect(hub.seen.map((seen) => seen.headers.authorization)).toEqual(hub.seen.map(() => 'Bearer hf_secret'));
    expect(hub.storageSeen.length).toBe(2);
    expect(hub.storageSeen.map((seen) => seen.headers.authorization)).toEqual([undefined, undefined]);
  });

  it('chooses files by patterns and downloads nothing twice', async () => {
    const folder = await pull('org/name', options({ allow: ['*.json', '*.onnx'], ignore: ['onnx/'] }));
    expect((await readdir(folder)).sort()).toEqual(['config.json', 'tokenizer.json']);
    const before = hub.seen.length;
    await pull('org/name', options({ allow: ['*.json'] }));
    expect(hub.seen.slice(before).map((seen) => seen.path.replace(/\?.*/, ''))).toEqual([
      '/api/models/org/name/revision/main',
      `/api/models/org/name/tree/${COMMIT}`,
      `/api/models/org/name/tree/${COMMIT}`,
    ]);
  });

  it('continues after cut connections with Range, inside one call', async () => {
    hub.faults.cutAfter = [100_000, 50_000];
    hub.faults.unavailable = 1;
    const progress: PullProgress[] = [];
    await pull('org/name', options({ allow: ['model.safetensors'], onProgress: (event) => progress.push(event) }));
    expect(hub.storageSeen.map((seen) => seen.headers.range)).toEqual([
      undefined,
      undefined,
      'bytes=100000-',
      'bytes=150000-',
    ]);
    expect(progress.at(-1)).toEqual({ file: 'model.safetensors', loaded: 300_000, total: 300_000 });
    const loaded = progress.map((event) => event.loaded);
    expect(loaded).toEqual([...loaded].sort((a, b) => a - b));
  });

  it('gives up after the allowed losses, keeps the part, and the next call goes on from it', async () => {
    hub.faults.cutAfter = [120_000, 0];
    // One file only: files come side by side, and a cut hits whichever asks first.
    const text = await failure(pull('org/name', options({ allow: ['model.safetensors'], retries: 0 })));
    expect(text).toMatch(
      /^ERR_GEMMATUNE_HUB_NETWORK: .*lost again and again at byte 120000 of 300000 of org\/name\/model.safetensors/,
    );
    expect((await stat(`${weightsBlob()}.incomplete`)).size).toBe(120_000);
    hub.faults.cutAfter = [];
    const folder = await pull('org/name', options());
    expect(hub.storageSeen.filter((seen) => seen.path.includes('safetensors')).at(-1)?.headers.range).toBe(
      'bytes=120000-',
    );
    expect((await readFile(join(folder, 'model.safetensors'))).equals(weights)).toBe(true);
    expect(existsSync(`${weightsBlob()}.incomplete`)).toBe(false);
  });

  it('counts only losses in a row without progress', async () => {
    hub.faults.cutAfter = [50_000, 50_000, 50_000, 50_000];
    await pull('org/name', options({ allow: ['model.safetensors'], retries: 1 }));
    expect(hub.storageSeen.length).toBe(5);
  });

  it('starts over when the server ignores Range', async () => {
    hub.faults.cutAfter = [120_000];
    hub.faults.ignoreRange = 1;
    const folder = await pull('org/name', options({ allow: ['model.safetensors'] }));
    expect((await readFile(join(folder, 'model.safetensors'))).equals(weights)).toBe(true);
  });

  it('starts over when the partial file is longer than the whole', async () => {
    await mkdir(join(root(), 'blobs'), { recursive: true });
    await writeFile(`${weightsBlob()}.incomplete`, Buffer.alloc(300_001));
    const folder = await pull('org/name', options({ allow: ['model.safetensors'] }));
    expect((await readFile(join(folder, 'model.safetensors'))).equals(weights)).toBe(true);
  });

  it('replaces a partial file whose bytes are wrong', async () => {
    await mkdir(join(root(), 'blobs'), { recursive: true });
    await writeFile(`${weightsBlob()}.incomplete`, Buffer.alloc(1000));
    const folder = await pull('org/name', options({ allow: ['model.safetensors'] }));
    expect((await readFile(join(folder, 'model.safetensors'))).equals(weights)).toBe(true);
    expect(hub.storageSeen.map((seen) => seen.headers.range)).toEqual(['bytes=1000-', undefined]);
  });

  it('discards a damaged body once, and reports the second', async () => {
    hub.faults.damaged = 1;
    await pull('org/name', options({ allow: ['model.safetensors'] }));
    await rm(root(), { recursive: true });
    hub.faults.damaged = 2;
    const text = await failure(pull('org/name', options({ allow: ['model.safetensors'] })));
    expect(text).toMatch(
      new RegExp(
        `^ERR_GEMMATUNE_HUB_CORRUPT: org/name/model.safetensors arrived damaged twice .*expected sha256 ${sha256(weights)}, found`,
      ),
    );
    expect(await readdir(join(root(), 'blobs'))).toEqual([]);
    expect(existsSync(join(root(), 'refs/main'))).toBe(false);
  });

  it('checks small files by their git blob hash', async () => {
    const gate: NonNullable<Parameters<typeof mockHub>[1]>['gate'] = (seen, response) => {
      if (!seen.path.endsWith('/config.json')) return false;
      response.end('<html>sign in to the hotel network</html>'.slice(0, config.length));
      return true;
    };
    hub = await open(files, { gate });
    expect(await failure(pull('org/name', options()))).toMatch(/HUB_CORRUPT: org\/name\/config.json .*git-sha1/);
  });

  it('says that the disk is full and keeps what fits', async () => {
    await mkdir(join(root(), 'blobs'), { recursive: true });
    await symlink('/dev/full', `${weightsBlob()}.incomplete`);
    const text = await failure(pull('org/name', options({ allow: ['model.safetensors'] })));
    expect(text).toMatch(
      /^ERR_GEMMATUNE_HUB_DISK: Writing org\/name\/model.safetensors .*after 0 of 300000 bytes .*free space/,
    );
  });

  it.each(['file', '.locks'])('says that the cache cannot be written, with a file in the way: %s', async (name) => {
    const place = name === 'file' ? join(cacheDir, 'file/cache') : cacheDir;
    await writeFile(join(cacheDir, name), '');
    expect(await failure(pull('org/name', options({ cacheDir: place })))).toBe(
      `ERR_GEMMATUNE_HUB_DISK: The cache ${place} cannot be written (a part of its path is a file, not a folder): make that possible, or name another place with HF_HUB_CACHE.`,
    );
  });

  it('stops on abort, keeps the part and leaves no lock', async () => {
    const stop = new AbortController();
    const onProgress = ({ file, loaded }: PullProgress) => {
      if (file === 'model.safetensors' && loaded > 0) stop.abort(new Error('enough'));
    };
    const run = pull('org/name', options({ allow: ['model.safetensors'], signal: stop.signal, onProgress }));
    await expect(run).rejects.toThrow('enough');
    expect((await stat(`${weightsBlob()}.incomplete`)).size).toBeGreaterThan(0);
    expect(await readdir(join(cacheDir, '.locks/models--org--name'))).toEqual([]);
  });

  it('passes on an error of the progress callback', async () => {
    const onProgress = () => {
      throw new Error('bar broke');
    };
    await expect(pull('org/name', options({ onProgress }))).rejects.toThrow('bar broke');
  });

  it('downloads a file once when two pulls run at the same time', async () => {
    const both = await Promise.all([pull('org/name', options()), pull('org/name', options())]);
    expect(both[0]).toBe(both[1]);
    expect(hub.storageSeen.filter((seen) => seen.path.includes('safetensors')).length).toBe(1);
  });

  it('takes over the lock of a process that died', async () => {
    const child = spawn(process.execPath, ['-e', '0']);
    await new Promise((done) => child.once('exit', done));
    const lock = join(cacheDir, '.locks/models--org--name', `${sha256(weights)}.gemmatune.lock`);
    await mkdir(join(lock, '..'), { recursive: true });
    await writeFile(lock, JSON.stringify({ pid: child.pid, host: hostname(), id: 'x' }));
    await pull('org/name', options());
    expect(existsSync(lock)).toBe(false);
  });

  it('refuses a listing whose names leave the folder', async () => {
    for (const name of ['../evil', 'a/../../evil', '/etc/evil', 'C:\\evil', 'a\\..\\evil']) {
      hub = await open({ [name]: config });
      expect(await failure(pull('org/name', options()))).toMatch(
        /^ERR_GEMMATUNE_HUB_CORRUPT: org\/name holds the file name/,
      );
    }
    expect(await failure(pull('../../x', options()))).toMatch(/^ERR_GEMMATUNE_HUB_ARGUMENT: "\.\.\/\.\.\/x" is no id/);
    expect(await failure(pull('org/name', options({ revision: '../main' })))).toBe(
      'ERR_GEMMATUNE_HUB_ARGUMENT: The revision "../main" of org/name is no name of a branch, tag or commit.',
    );
  });
});

describe('what is no Hub', () => {
  const answering = (path: RegExp, body: string) =>
    open(files, { gate: (seen, response) => path.test(seen.path) && Boolean(response.end(body)) });

  it.each([
    [
      'a page instead of JSON',
      /revision/,
      '<html>\nsign in</html>',
      "answered '<html>\\nsign in</html>', expected JSON: d",
    ],
    ['half an answer', /tree/, '[{"type":"file"', 'expected JSON: does a proxy or a sign-in page stand between'],
    ['nothing', /revision/, 'null', 'gave nothing for "sha", expected a commit hash: is'],
    ['another hash', /revision/, '{"sha":7}', 'gave 7 for "sha", expected a commit hash: is http://127.0.0.1'],
    ['no list', /tree/, '{"error":"x"}', `gave {"error":"x"}, expected a list of files: is http://127.0.0.1`],
    [
      'a file without a path',
      /tree/,
      '[null,{"type":"file"}]',
      `lists {"type":"file"}, expected a path, a size and a h`,
    ],
    [
      'a file of no size',
      /tree/,
      `[{"type":"file","path":"a","oid":"${'a'.repeat(40)}","size":"1"}]`,
      'expected a path',
    ],
    [
      'a file of no hash',
      /tree/,
      '[{"type":"file","path":"a","oid":"../../x","size":1}]',
      'expected a path, a size and',
    ],
  ])('is known by %s', async (_, path, body, text) => {
    hub = await answering(path, body);
    const found = await failure(pull('org/name', options()));
    expect(found).toMatch(/^ERR_GEMMATUNE_HUB_SERVER: http:\/\/127.0.0.1/);
    expect(found).toContain(text);
  });

  it('or by an answer that ends early', async () => {
    hub = await open(files, {
      gate: (_, response) => {
        response.writeHead(200, { 'content-length': 100 }).write('{', () => setTimeout(() => response.destroy(), 20));
        return true;
      },
    });
    expect(await failure(pull('org/name', options()))).toMatch(/^ERR_GEMMATUNE_HUB_NETWORK: 127.0.0.1:\d+ cannot be r/);
  });

  it.each(['huggingface.co', 'ftp://huggingface.co', 'https://', 'https://a b'])('is %j', async (endpoint) => {
    const text = `is ${JSON.stringify(endpoint)}: expected an address such as https://huggingface.co.`;
    expect(await failure(pull('org/name', options({ endpoint })))).toBe(
      `ERR_GEMMATUNE_HUB_ARGUMENT: The endpoint option ${text}`,
    );
    const env = { HF_ENDPOINT: endpoint, HF_HOME: cacheDir };
    expect(await failure(pull('org/name', { cacheDir, env }))).toBe(`ERR_GEMMATUNE_HUB_ARGUMENT: HF_ENDPOINT ${text}`);
  });
});

describe('access', () => {
  const gated = (status: number, code: string, message: string) =>
    open(files, {
      gate: (seen, response) => {
        if (!seen.path.includes('/resolve/')) return false;
        refuse(response, status, code, message);
        return true;
      },
    });

  it('names the licence page of a gated model, without and with a token', async () => {
    hub = await gated(401, 'GatedRepo', 'Access to model org/name is restricted.');
    const env = { HF_HOME: join(cacheDir, 'home') };
    expect(await failure(pull('org/name', options({ env })))).toBe(
      'ERR_GEMMATUNE_HUB_ACCESS: org/name is gated (401; no token found): accept the licence at https://huggingface.co/org/name, then set HF_TOKEN to a token of that account from https://huggingface.co/settings/tokens.',
    );
    hub = await gated(403, 'GatedRepo', 'Access to model org/name is restricted.');
    const text = await failure(pull('org/name', options()));
    expect(text).toContain(
      'is gated and the token from HF_TOKEN has no access (403): accept the licence at https://huggingface.co/org/name',
    );
    expect(text).not.toContain('hf_secret');
  });

  it('tells a wrong token from a missing repository', async () => {
    const everything = (status: number, code: string, message: string) =>
      open(files, {
        gate: (_, response) => {
          refuse(response, status, code, message);
          return true;
        },
      });
    hub = await everything(401, '', 'Invalid credentials in Authorization header');
    expect(await failure(pull('org/name', options()))).toMatch(
      /^ERR_GEMMATUNE_HUB_ACCESS: 127.0.0.1:\d+ refused the token from HF_TOKEN \(401, Invalid credentials/,
    );
    hub = await everything(401, 'RepoNotFound', 'Repository not found');
    expect(await failure(pull('org/name', options({ token: false })))).toMatch(
      /^ERR_GEMMATUNE_HUB_NOT_FOUND: The model org\/name was not found .* private or gated .*set HF_TOKEN/,
    );
    hub = await everything(404, 'RepoNotFound', 'Repository not found');
    expect(await failure(pull('org/name', options()))).toMatch(
      /NOT_FOUND: .*private and the token from HF_TOKEN may not see it/,
    );
  });

  it('says which revision is not there', async () => {
    expect(await failure(pull('org/name', options({ revision: 'v9' })))).toMatch(
      /NOT_FOUND: .* no branch, tag or commit "v9"/,
    );
  });

  it('reports a service in trouble after its retries', async () => {
    hub = await open(files, {
      gate: (_, response) => {
        response.writeHead(503).end();
        return true;
      },
    });
    expect(await failure(pull('org/name', options()))).toMatch(/HUB_SERVER: 127.0.0.1:\d+ answered 503 3 times/);
    expect(hub.seen.length).toBe(3);
  });
});

describe('offline', () => {
  it('reads the cache without any request, by branch and by commit', async () => {
    const folder = await pull('org/name', options());
    const before = hub.seen.length;
    const env = { HF_HUB_OFFLINE: '1' };
    expect(await pull('org/name', options({ env }))).toBe(folder);
    expect(await pull('org/name', options({ env: { TRANSFORMERS_OFFLINE: 'yes' } }))).toBe(folder);
    expect(await pull('org/name', options({ env, revision: COMMIT }))).toBe(folder);
    expect(hub.seen.length).toBe(before);
  });

  it('says what is missing', async () => {
    expect(await failure(pull('org/name', options({ offline: true })))).toMatch(
      /^ERR_GEMMATUNE_HUB_OFFLINE: org\/name at revision main is not in the cache .* offline mode is on/,
    );
    await pull('org/name', options());
    await unlink(weightsBlob());
    expect(await failure(pull('org/name', options({ offline: true })))).toMatch(
      /HUB_OFFLINE: .* lacks model.safetensors and/,
    );
    expect(await failure(pull('org/name', options({ offline: true, allow: ['*.json'] })))).toBe('resolved');
  });

  it('notices a missing shard by the names of the others', async () => {
    hub = await open({
      'model-00001-of-00003.safetensors': Buffer.alloc(10, 1),
      'model-00002-of-00003.safetensors': Buffer.alloc(10, 2),
      'model-00003-of-00003.safetensors': Buffer.alloc(10, 3),
    });
    await pull('org/name', options({ ignore: ['*-00002-*'] }));
    expect(await failure(pull('org/name', options({ offline: true })))).toContain(
      'lacks model-00002-of-00003.safetensors',
    );
  });

  it('without network, says whether the cache would do', async () => {
    const gone = await open(files);
    await gone.close();
    expect(await failure(pull('org/name', options({ endpoint: gone.url })))).toMatch(
      /^ERR_GEMMATUNE_HUB_NETWORK: 127.0.0.1:\d+ cannot be reached \(ECONNREFUSED\): check the network connection; org\/name is not complete in the cache/,
    );
    const folder = await pull('org/name', options());
    const text = await failure(pull('org/name', options({ endpoint: gone.url })));
    expect(text).toContain(`a complete copy of org/name lies in ${folder}, set HF_HUB_OFFLINE=1 to use it.`);
  });
});
