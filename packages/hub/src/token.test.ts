import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hubCacheDir } from './cache.js';
import { json, type Loopback, listen } from './loopback.case.js';
import { resolveToken } from './token.js';

let home: string;
let servers: Loopback[] = [];
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'token-'));
  servers = [];
});
afterEach(async () => {
  await Promise.all(servers.map((server) => server.close()));
  await rm(home, { recursive: true });
});

/** Kaggle's web host as a notebook sees it. */
async function kaggle(answer: unknown): Promise<Loopback> {
  const server = await listen((_, response) => json(response, answer));
  servers.push(server);
  return server;
}

describe('resolveToken', () => {
  it('takes the first of option, variables and files', async () => {
    await writeFile(join(home, 'token'), 'hf_home\n');
    await writeFile(join(home, 'elsewhere'), ' hf_path ');
    const all = {
      HF_TOKEN: 'hf_env',
      HUGGING_FACE_HUB_TOKEN: 'hf_old',
      HF_TOKEN_PATH: join(home, 'elsewhere'),
      HF_HOME: home,
    };
    expect(await resolveToken({ token: 'hf_option', env: all })).toEqual({
      token: 'hf_option',
      source: 'the token option',
    });
    expect(await resolveToken({ env: all })).toEqual({ token: 'hf_env', source: 'HF_TOKEN' });
    const { HF_TOKEN: _1, ...withoutNew } = all;
    expect(await resolveToken({ env: withoutNew })).toEqual({ token: 'hf_old', source: 'HUGGING_FACE_HUB_TOKEN' });
    const { HUGGING_FACE_HUB_TOKEN: _2, ...filesOnly } = withoutNew;
    expect(await resolveToken({ env: filesOnly })).toEqual({
      token: 'hf_path',
      source: `the file ${join(home, 'elsewhere')}`,
    });
    expect(await resolveToken({ env: { HF_HOME: home } })).toEqual({
      token: 'hf_home',
      source: `the file ${join(home, 'token')}`,
    });
    await mkdir(join(home, 'huggingface'));
    await writeFile(join(home, 'huggingface/token'), 'hf_xdg');
    expect((await resolveToken({ env: { XDG_CACHE_HOME: home } })).token).toBe('hf_xdg');
    expect(await resolveToken({ token: false, env: all })).toEqual({ source: 'no token, as asked' });
    expect(await resolveToken({ env: { HF_HOME: join(home, 'none'), HF_TOKEN: ' ' } })).toEqual({
      source: 'no token found',
    });
  });

  it('refuses a token no header can carry, without printing it', async () => {
    for (const token of ['hf_a b', 'hf_a\nb', 'hf_ä']) {
      const error = await resolveToken({ env: { HF_TOKEN: token } }).catch((caught) => caught);
      expect(error.code).toBe('ERR_GEMMATUNE_HUB_ARGUMENT');
      expect(error.message).toMatch(/^The token from HF_TOKEN holds a space/);
      expect(error.message).not.toContain(token);
    }
  });

  it('names a place of a token that cannot be read', async () => {
    await mkdir(join(home, 'token'));
    const text = `The file ${join(home, 'token')}, where a token may be, cannot be read (this is a folder): make it`;
    await expect(resolveToken({ env: { HF_HOME: home } })).rejects.toThrow(text);
  });

  it("reads the Kaggle secret with the request of Kaggle's own client", async () => {
    const server = await kaggle({ wasSuccessful: true, result: { secret: 'hf_kaggle', secretType: 1 } });
    const env = { HF_HOME: home, KAGGLE_USER_SECRETS_TOKEN: 'jwt', KAGGLE_URL_BASE: server.url };
    expect(await resolveToken({ env })).toEqual({ token: 'hf_kaggle', source: 'the Kaggle secret HUGGINGFACE_TOKEN' });
    expect(server.seen).toHaveLength(1);
    expect(server.seen[0]).toMatchObject({ method: 'POST', path: '/requests/GetUserSecretByLabelRequest' });
    expect(server.seen[0]?.headers).toMatchObject({
      'content-type': 'application/json',
      'x-kaggle-authorization': 'Bearer jwt',
    });
    expect(JSON.parse(server.seen[0]?.body ?? '')).toEqual({ Label: 'HUGGINGFACE_TOKEN' });

    await resolveToken({ env: { ...env, HF_TOKEN: 'hf_env' } });
    await resolveToken({ env: { HF_HOME: home, KAGGLE_URL_BASE: server.url } });
    expect(server.seen).toHaveLength(1);
  });

  it('goes on without a token where the secret is not attached or Kaggle cannot be asked', async () => {
    const server = await kaggle({
      wasSuccessful: false,
      errors: [{ message: 'No user secrets exist for kernel id 1' }],
    });
    const env = { HF_HOME: home, KAGGLE_USER_SECRETS_TOKEN: 'jwt', KAGGLE_URL_BASE: server.url };
    expect(await resolveToken({ env })).toEqual({
      source: 'no token found, and this Kaggle notebook has no secret HUGGINGFACE_TOKEN attached (Add-ons, Secrets)',
    });
    await server.close();
    expect((await resolveToken({ env, retryDelayMs: 1 })).source).toMatch(
      /^no token found, and Kaggle's secrets could not be read \(.*cannot be reached/,
    );
  });
});

describe('hubCacheDir', () => {
  it("follows Python's variables in their order", () => {
    const env = { HF_HUB_CACHE: '/a', HUGGINGFACE_HUB_CACHE: '/b', HF_HOME: '/c', XDG_CACHE_HOME: '/d' };
    expect(hubCacheDir('/o', env)).toBe('/o');
    expect(hubCacheDir(undefined, env)).toBe('/a');
    expect(hubCacheDir(undefined, { ...env, HF_HUB_CACHE: undefined })).toBe('/b');
    expect(hubCacheDir(undefined, { HF_HOME: '/c', XDG_CACHE_HOME: '/d' })).toBe('/c/hub');
    expect(hubCacheDir(undefined, { XDG_CACHE_HOME: '/d' })).toBe('/d/huggingface/hub');
    expect(hubCacheDir(undefined, {})).toMatch(/\/\.cache\/huggingface\/hub$/);
  });
});
