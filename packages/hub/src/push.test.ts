import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { json, type Loopback, listen } from './loopback.case.js';
import { modelCard } from './model-card.js';
import { type PushOptions, type PushProgress, push } from './push.js';

const weights = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 5) & 127));
const oid = createHash('sha256').update(weights).digest('hex');
const card = { name: 'org/tuned', baseModel: 'google/functiongemma-270m-it', after: { tool_accuracy: 0.9 } };

let folder: string;
let hub: Loopback;
let storage: Loopback;
let storageFailures: number;
let partSize: number | undefined;
let status: Record<string, number>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'push-'));
  await writeFile(join(folder, 'config.json'), '{"model_type":"gemma3_text"}');
  await writeFile(join(folder, 'model.safetensors'), weights);
  storageFailures = 0;
  partSize = undefined;
  status = {};
  storage = await listen((seen, response) => {
    if (storageFailures > 0) {
      storageFailures--;
      response.writeHead(500).end();
      return;
    }
    response.writeHead(200, { etag: `"${seen.path}"` }).end('{}');
  });
  hub = await listen((seen, response) => {
    const path = seen.path.replace(/\?.*/, '');
    if (status[path]) {
      response.writeHead(status[path], { 'content-type': 'application/json' }).end('{"error":"refused"}');
    } else if (path === '/api/whoami-v2') json(response, { type: 'user', name: 'me', auth: {} });
    else if (path === '/api/repos/create') json(response, { url: 'https://huggingface.co/org/tuned', id: '1' });
    else if (path.endsWith('/preupload/main')) {
      const { files } = JSON.parse(seen.body) as { files: { path: string; size: number }[] };
      json(response, {
        files: files.map(({ path, size }) => ({
          path,
          uploadMode: size > 5000 ? 'lfs' : 'regular',
          shouldIgnore: false,
        })),
      });
    } else if (path.endsWith('.git/info/lfs/objects/batch')) {
      const header = partSize && {
        chunk_size: String(partSize),
        ...Object.fromEntries(
          Array.from({ length: Math.ceil(weights.length / partSize) }, (_, i) => [
            String(i + 1).padStart(5, '0'),
            `${storage.url}/part${i + 1}`,
          ]),
        ),
      };
      json(response, {
        transfer: partSize ? 'multipart' : 'basic',
        objects: [{ oid, size: weights.length, actions: { upload: { href: `${storage.url}/whole`, header } } }],
      });
    } else if (path.endsWith('/commit/main')) json(response, { commitOid: 'abc123', commitUrl: 'u', hookOutput: '' });
    else response.writeHead(404).end();
  });
});
afterEach(async () => {
  await Promise.all([hub.close(), storage.close()]);
  await rm(folder, { recursive: true });
});

const options = (more: PushOptions = {}): PushOptions => ({
  endpoint: hub.url,
  env: { HF_TOKEN: 'hf_secret', HF_HOME: join(folder, 'none') },
  retryDelayMs: 1,
  ...more,
});
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => 'resolved',
    (error) => `${error.code}: ${error.message}`,
  );
/** The lines of the commit request: its header, then one operation each. */
const committed = () =>
  (hub.seen.find((seen) => seen.path.includes('/commit/'))?.body ?? '')
    .split('\n')
    .filter((line) => line !== '')
    .map(
      (line) =>
        JSON.parse(line) as { key: string; value: { path?: string; content?: string } & Record<string, unknown> },
    );
const text = (path: string) =>
  Buffer.from(committed().find((line) => line.value.path === path)?.value.content ?? '', 'base64').toString();

describe('push', () => {
  it('creates the repository, uploads large files by LFS and commits everything at once', async () => {
    const print = vi.spyOn(console, 'debug');
    const progress: PushProgress[] = [];
    const done = await push(folder, 'org/tuned', options({ card, onProgress: (event) => progress.push(event) }));
    expect(done).toEqual({ url: `${hub.url}/org/tuned`, commit: 'abc123' });
    expect(hub.seen.map((seen) => seen.path)).toEqual([
      '/api/repos/create',
      '/api/models/org/tuned/preupload/main',
      '/org/tuned.git/info/lfs/objects/batch',
      '/api/models/org/tuned/commit/main',
    ]);
    expect(JSON.parse(hub.seen[0]?.body ?? '')).toEqual({
      name: 'tuned',
      organization: 'org',
      type: 'model',
      visibility: 'private',
    });
    expect(hub.seen.every((seen) => seen.headers.authorization === 'Bearer hf_secret')).toBe(true);
    expect(storage.seen.length).toBe(1);
    expect(storage.seen[0]).toMatchObject({ method: 'PUT', path: '/whole' });
    expect(storage.seen[0]?.headers['content-length']).toBe('300000');
    expect(storage.seen[0]?.headers.authorization).toBeUndefined();
    expect(storage.seen[0]?.body === weights.toString('utf8')).toBe(true);
    expect(committed().map((line) => [line.key, line.value.path])).toEqual([
      ['header', undefined],
      ['file', 'config.json'],
      ['lfsFile', 'model.safetensors'],
      ['file', 'README.md'],
    ]);
    expect(committed()[2]?.value).toMatchObject({ algo: 'sha256', oid, size: 300_000 });
    expect(text('README.md')).toBe(modelCard(card));
    expect(await readdir(folder)).toEqual(['config.json', 'model.safetensors']);
    expect(progress.at(-1)).toEqual({ file: 'model.safetensors', loaded: 300_000, total: 300_000 });
    expect(print).not.toHaveBeenCalled();
    print.mockRestore();
  });

  it('uploads in parts and repeats a part that failed', async () => {
    partSize = 120_000;
    storageFailures = 2;
    const progress: PushProgress[] = [];
    await push(folder, 'org/tuned', options({ onProgress: (event) => progress.push(event) }));
    const parts = storage.seen.filter((seen) => seen.method === 'PUT');
    expect(parts.length).toBe(5);
    expect(
      parts
        .slice(-3)
        .map((seen) => seen.headers['content-length'])
        .sort(),
    ).toEqual(['120000', '120000', '60000'].sort());
    expect(Math.max(...progress.map((event) => event.loaded))).toBe(300_000);
  });

  it("keeps the folder's README.md unless asked to replace it", async () => {
    await writeFile(join(folder, 'README.md'), 'by hand');
    await push(folder, 'org/tuned', options({ card }));
    expect(text('README.md')).toBe('by hand');
    hub.seen.length = 0;
    await push(folder, 'org/tuned', options({ card, overwriteCard: true }));
    expect(text('README.md')).toBe(modelCard(card));
    expect(committed().filter((line) => line.value.path === 'README.md').length).toBe(1);
  });

  it('leaves hidden files and checkpoints here and follows links to files', async () => {
    for (const name of ['.git', 'checkpoint-10', 'extra']) await mkdir(join(folder, name));
    for (const name of ['.env', '.git/config', 'checkpoint-10/optimizer.pt', 'extra/notes.txt'])
      await writeFile(join(folder, name), 'x');
    await symlink('extra/notes.txt', join(folder, 'link.txt'));
    await symlink('..', join(folder, 'extra/loop'));
    await push(folder, 'org/tuned', options());
    expect(committed().flatMap((line) => line.value.path ?? [])).toEqual([
      'config.json',
      'extra/notes.txt',
      'link.txt',
      'model.safetensors',
    ]);
  });

  it('takes the account of the token for a bare name, and an existing repository as it is', async () => {
    status['/api/repos/create'] = 409;
    expect(await push(folder, 'tuned', options({ private: false }))).toMatchObject({ url: `${hub.url}/me/tuned` });
    expect(JSON.parse(hub.seen[1]?.body ?? '')).toMatchObject({ organization: 'me', visibility: 'public' });
  });

  it('says what is wrong with the token, the name or the folder', async () => {
    const env = { HF_HOME: join(folder, 'none') };
    expect(await failure(push(folder, 'org/tuned', options({ env })))).toMatch(
      /HUB_ACCESS: Pushing to org\/tuned needs a token with write access \(no token found\)/,
    );
    expect(await failure(push(folder, 'org/tuned', options({ token: 'api_secret' })))).toMatch(
      /ARGUMENT: The token from the token option .* which begins with hf_: make one at https/,
    );
    expect(await failure(push(folder, '../x', options()))).toContain('is no name of a Hub repository');
    expect(await failure(push(join(folder, 'nowhere'), 'org/tuned', options()))).toContain(
      'nowhere cannot be pushed (there is no such folder): expected a model folder',
    );
    expect(await failure(push(join(folder, 'config.json'), 'org/tuned', options()))).toMatch(
      /NOT_FOUND: .*config.json cannot be pushed \(it is no folder\): expected a model folder\.$/,
    );
    status['/api/repos/create'] = 403;
    const refused = await failure(push(folder, 'org/tuned', options()));
    expect(refused).toMatch(/ACCESS: The token from HF_TOKEN may not write to org\/tuned \(403\)/);
    status['/api/repos/create'] = 401;
    expect(await failure(push(folder, 'org/tuned', options()))).toMatch(
      /ACCESS: .*refused the token from HF_TOKEN \(401\)/,
    );
    status = { '/api/models/org/tuned/commit/main': 412 };
    expect(await failure(push(folder, 'org/tuned', options()))).toMatch(
      /HUB_SERVER: Pushing to org\/tuned at 127.0.0.1:\d+ failed with 412 \(refused.*\): nothing was committed\.$/,
    );
    expect(committed().length).toBeGreaterThan(0);
    await rm(join(folder, 'config.json'));
    expect(await failure(push(folder, 'org/tuned', options()))).toContain('has no config.json');
  });

  it('stops on abort before the commit', async () => {
    const stop = new AbortController();
    const run = push(
      folder,
      'org/tuned',
      options({ signal: stop.signal, onProgress: () => stop.abort(new Error('enough')) }),
    );
    await expect(run).rejects.toThrow('enough');
    expect(committed()).toEqual([]);
  });
});

describe('modelCard', () => {
  it('states data, settings, results, use and licence', () => {
    const readme = modelCard({
      name: 'me/tuned',
      baseModel: 'google/functiongemma-270m-it',
      dataset: 'interstellarninja/hermes_reasoning_tool_use',
      trainRows: 2700,
      evalRows: 300,
      settings: { learningRate: 5e-5, scheduler: 'cosine', 'a|b': null },
      before: { tool_accuracy: 0.58, tc_cer: 0.123456 },
      after: { tool_accuracy: 0.92, parse_rate: 1 },
      evaluation: '50 held-out rows',
      tags: ['yes', 'two words'],
    });
    expect(readme.slice(0, readme.indexOf('# me/tuned'))).toBe(
      [
        '---',
        'license: gemma',
        'library_name: transformers',
        'pipeline_tag: text-generation',
        'base_model: google/functiongemma-270m-it',
        'datasets:',
        '- interstellarninja/hermes_reasoning_tool_use',
        'tags:',
        '- function-calling',
        '- functiongemma',
        '- gemmatune',
        '- "yes"',
        '- "two words"',
        '---\n\n',
      ].join('\n'),
    );
    for (const line of [
      '- Rows trained on: 2700',
      '| `learningRate` | 0.00005 |',
      '| `a\\|b` | null |',
      'Measured on 50 held-out rows.',
      '| `tool_accuracy` | 0.58 | 0.92 |',
      '| `tc_cer` | 0.1235 | - |',
      '| `parse_rate` | - | 1 |',
      'npx gemmatune generate --model me/tuned',
      'https://ai.google.dev/gemma/terms',
    ]) {
      expect(readme).toContain(line);
    }
  });

  it('leaves out what is not known and links nothing on disk', () => {
    const readme = modelCard({
      name: 'x',
      baseModel: '/models/base',
      dataset: 'data/train.jsonl',
      license: 'apache-2.0',
    });
    expect(readme).toContain('license: apache-2.0\n');
    expect(readme).not.toMatch(/base_model|datasets:|## Settings|## Results/);
    expect(readme).toContain('- Data set: data/train.jsonl\n');
    expect(readme).toContain('/models/base, fine-tuned');
  });
});
