import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type KaggleOptions, parseKaggleHandle, pullKaggle } from './kaggle.js';
import { kaggleCredentials } from './kaggle-credentials.js';
import { type Faults, json, type Loopback, listen, noFaults, sendBytes } from './loopback.case.js';
import { resolveModel } from './resolve-model.js';
import { tarEntry, tarOf } from './tar.case.js';

const handle = 'google/functiongemma/transformers/functiongemma-270m-it';
const spec = `kaggle:${handle}`;
const weights = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * i + (i >> 7)) & 255));
const archive = gzipSync(tarOf(tarEntry('./config.json', '{}'), tarEntry('model.safetensors', weights)));

let root: string;
let storage: Loopback;
let api: Loopback;
let faults: Faults;
let allowed: (authorization: string | undefined) => number;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kaggle-'));
  faults = noFaults();
  allowed = () => 200;
  const md5 = createHash('md5').update(archive).digest('base64');
  storage = await listen((seen, response) =>
    sendBytes(seen, response, archive, faults, { 'x-goog-hash': `crc32c=AAAAAA==,md5=${md5}` }),
  );
  api = await listen((seen, response) => {
    const status = allowed(seen.headers.authorization);
    if (status !== 200) response.writeHead(status).end();
    else if (seen.path === `/api/v1/models/${handle}/get`) json(response, { id: 1, versionNumber: 3 });
    else if (/\/[34]\/download$/.test(seen.path))
      response.writeHead(302, { location: `${storage.url}/bucket/archive.tar.gz?sig=1` }).end();
    else response.writeHead(404).end();
  });
});
afterEach(async () => {
  await Promise.all([api.close(), storage.close()]);
  await rm(root, { recursive: true });
});

const options = (more: KaggleOptions = {}): KaggleOptions => ({
  inputDir: join(root, 'input'),
  kaggleCacheDir: join(root, 'cache'),
  kaggleEndpoint: api.url,
  retryDelayMs: 1,
  env: { KAGGLE_USERNAME: 'me', KAGGLE_KEY: 'secret', KAGGLE_CONFIG_DIR: root },
  ...more,
});
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => 'resolved',
    (error) => `${error.code}: ${error.message}`,
  );

describe('pullKaggle', () => {
  it.each([
    [`models/${handle}/2`, spec, `models/${handle}/2`],
    [
      'functiongemma/Transformers/functiongemma-270m-it/1',
      `${spec}/1`,
      'functiongemma/Transformers/functiongemma-270m-it/1',
    ],
  ])('uses what is attached at %s, without a request', async (attached, wanted, found) => {
    await mkdir(join(root, 'input', attached), { recursive: true });
    expect(await pullKaggle(wanted, options())).toBe(join(root, 'input', found));
    expect(api.seen).toEqual([]);
  });

  it('takes the newest attached version, and none where another is asked for', async () => {
    for (const version of [9, 10])
      await mkdir(join(root, 'input/models', handle, String(version)), { recursive: true });
    expect(await pullKaggle(spec, options())).toBe(join(root, 'input/models', handle, '10'));
    expect(await pullKaggle(`${spec}/3`, options())).toBe(join(root, 'cache/models', handle, '3'));
  });

  it("downloads into kagglehub's layout, with the credentials for Kaggle alone", async () => {
    const folder = await pullKaggle(spec, options());
    expect(folder).toBe(join(root, 'cache/models', handle, '3'));
    expect((await readFile(join(folder, 'model.safetensors'))).equals(weights)).toBe(true);
    expect((await readdir(join(folder, '..'))).sort()).toEqual(['3', '3.complete']);
    const basic = `Basic ${Buffer.from('me:secret').toString('base64')}`;
    expect(api.seen.map((seen) => [seen.path, seen.headers.authorization])).toEqual([
      [`/api/v1/models/${handle}/get`, basic],
      [`/api/v1/models/${handle}/3/download`, basic],
    ]);
    expect(storage.seen.map((seen) => seen.headers.authorization)).toEqual([undefined]);

    await pullKaggle(`${spec}/3`, options());
    expect(await pullKaggle(spec, options({ offline: true }))).toBe(folder);
    expect(api.seen.length).toBe(2);
    expect(await resolveModel(`${spec}/3`, options())).toBe(folder);
  });

  it('continues a cut archive, in the same call and in the next', async () => {
    faults.cutAfter = [1000, 500];
    expect(await failure(pullKaggle(spec, options({ retries: 0 })))).toMatch(
      /HUB_NETWORK: .* at byte 1000 of \d+ of google/,
    );
    await pullKaggle(spec, options());
    expect(storage.seen.map((seen) => seen.headers.range)).toEqual([undefined, 'bytes=1000-', 'bytes=1500-']);
  });

  it('discards an archive whose MD5 is wrong', async () => {
    faults.damaged = 2;
    expect(await failure(pullKaggle(spec, options()))).toMatch(/HUB_CORRUPT: .*arrived damaged twice .*md5/);
    expect(await readdir(join(root, 'cache/models', handle))).toEqual([]);
  });

  it('says that its cache cannot be written', async () => {
    await writeFile(join(root, 'cache'), '');
    expect(await failure(pullKaggle(spec, options()))).toBe(
      `ERR_GEMMATUNE_HUB_DISK: The cache ${join(root, 'cache')} cannot be written (a part of its path is a file, not a folder): make that possible, or name another place with KAGGLEHUB_CACHE.`,
    );
  });

  it('replaces a folder without its marker', async () => {
    const folder = join(root, 'cache/models', handle, '3');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'half'), '');
    await pullKaggle(spec, options());
    expect(existsSync(join(folder, 'half'))).toBe(false);
    expect((await stat(join(folder, 'config.json'))).size).toBe(2);
  });

  it('says what to do about access', async () => {
    allowed = (authorization) => (authorization ? 403 : 401);
    const page = 'accept its licence at https://www.kaggle.com/models/google/functiongemma';
    expect(await failure(pullKaggle(spec, options({ env: { KAGGLE_CONFIG_DIR: root } })))).toContain(
      `needs a signed-in account (401, no Kaggle credentials found): ${page}, then make a token at https://www.kaggle.com/settings and set KAGGLE_API_TOKEN`,
    );
    expect(await failure(pullKaggle(spec, options()))).toBe(
      `ERR_GEMMATUNE_HUB_ACCESS: The Kaggle model ${handle} is closed to the account of KAGGLE_USERNAME and KAGGLE_KEY (403): ${page} with that account, then run again.`,
    );
    allowed = () => 401;
    expect(await failure(pullKaggle(spec, options()))).toMatch(
      /ACCESS: Kaggle refused the credentials from KAGGLE_USERNAME and KAGGLE_KEY/,
    );
    allowed = () => 200;
    expect(await failure(pullKaggle(`${spec}/8`, options()))).toMatch(/NOT_FOUND: .*270m-it\/8 was not found/);
    expect(await failure(pullKaggle(spec, options({ offline: true })))).toMatch(
      /HUB_OFFLINE: .*neither attached under/,
    );
  });

  it('says what is no Kaggle, or answers as none', async () => {
    expect(await failure(pullKaggle(spec, options({ kaggleEndpoint: 'kaggle.com' })))).toBe(
      'ERR_GEMMATUNE_HUB_ARGUMENT: The kaggleEndpoint option is "kaggle.com": expected an address such as https://www.kaggle.com.',
    );
    for (const [body, text] of [
      ['<html>', "/get answered '<html>', expected JSON: does a proxy or a sign-in page stand between"],
      ['null', '/get gave no whole number in "versionNumber" (found nothing): name the version'],
      ['{"versionNumber":"3"}', `(found '3'): name the version, as in …/functiongemma-270m-it/1.`],
    ] as const) {
      const other = await listen((_, response) => void response.end(body));
      const found = await failure(pullKaggle(spec, options({ kaggleEndpoint: other.url })));
      await other.close();
      expect(found).toContain('ERR_GEMMATUNE_HUB_SERVER: http://127.0.0.1');
      expect(found).toContain(text);
    }
  });

  it('reads handles strictly', () => {
    expect(parseKaggleHandle(`${spec}/12`)).toEqual({
      owner: 'google',
      model: 'functiongemma',
      framework: 'transformers',
      variation: 'functiongemma-270m-it',
      version: 12,
    });
    for (const wrong of [
      'kaggle:google/functiongemma',
      `${spec}/latest`,
      `${spec}/0`,
      'kaggle:a/../b/c',
      `${spec}/1/2`,
    ]) {
      expect(() => parseKaggleHandle(wrong)).toThrow(`${JSON.stringify(wrong)} is no Kaggle model`);
    }
  });
});

describe('kaggleCredentials', () => {
  it("looks where Kaggle's clients look, in their order", async () => {
    const env = { KAGGLE_CONFIG_DIR: root };
    expect(await kaggleCredentials(env)).toEqual({ source: 'no Kaggle credentials found' });
    await writeFile(join(root, 'kaggle.json'), '{"username":"u","key":"k"}');
    const file = { authorization: `Basic ${Buffer.from('u:k').toString('base64')}`, source: join(root, 'kaggle.json') };
    expect(await kaggleCredentials(env)).toEqual(file);
    expect((await kaggleCredentials({ ...env, KAGGLE_USERNAME: 'a', KAGGLE_KEY: 'b' })).source).toBe(
      'KAGGLE_USERNAME and KAGGLE_KEY',
    );
    await writeFile(join(root, 'access_token'), 'KGAT_file\n');
    expect((await kaggleCredentials(env)).authorization).toBe('Bearer KGAT_file');
    expect((await kaggleCredentials({ ...env, KAGGLE_API_TOKEN: 'KGAT_env' })).authorization).toBe('Bearer KGAT_env');
    const byPath = { ...env, KAGGLE_API_TOKEN: join(root, 'access_token') };
    expect((await kaggleCredentials(byPath)).authorization).toBe('Bearer KGAT_file');
  });

  it('takes a token that is too long for a path, and never prints it', async () => {
    const token = `KGAT_${'x'.repeat(5000)}`;
    const env = { KAGGLE_CONFIG_DIR: root };
    expect((await kaggleCredentials({ ...env, KAGGLE_API_TOKEN: token })).authorization).toBe(`Bearer ${token}`);
    expect(await failure(kaggleCredentials({ ...env, KAGGLE_API_TOKEN: `${token} y` }))).toBe(
      'ERR_GEMMATUNE_HUB_ARGUMENT: The token from KAGGLE_API_TOKEN holds a space, a line break or a non-ASCII character: copy it again from https://www.kaggle.com/settings.',
    );
  });

  it('names a broken kaggle.json without quoting it', async () => {
    await writeFile(join(root, 'kaggle.json'), '{"username":"u","key":"topsecret');
    const text = await failure(kaggleCredentials({ KAGGLE_CONFIG_DIR: root }));
    expect(text).toMatch(/ARGUMENT: .*kaggle.json is not valid JSON/);
    expect(text).not.toContain('topsecret');
    await writeFile(join(root, 'kaggle.json'), '{"username":"u"}');
    expect(await failure(kaggleCredentials({ KAGGLE_CONFIG_DIR: root }))).toMatch(/lacks "username" or "key"/);
  });
});
