/** Commands that speak with the Hub, against servers on this machine that answer as it does. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { COMMIT, json, type Loopback, listen, mockHub, refuse } from '../../hub/src/loopback.case.js';
import { gemmatune, jsonl, lines, longModel, TINY, toolRow, workFolder } from './program.case.js';

const { at } = workFolder();
const open: { close(): Promise<void> }[] = [];
let home: string;
let runs = 0;

beforeEach(() => {
  home = at(`home${runs++}`);
  vi.stubEnv('HF_HOME', home);
  for (const name of ['HF_TOKEN', 'HF_HUB_CACHE', 'HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'])
    vi.stubEnv(name, undefined);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const server of open.splice(0)) await server.close();
});

const MODEL_FILES = [
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
];
const filesOf = (folder: string) =>
  Object.fromEntries(MODEL_FILES.map((name) => [name, readFileSync(join(folder, name))]));

/** A Hub with the model org/name and, under the same name, a data set of one Parquet or JSON lines file. */
async function hubWith(model: Record<string, Buffer>, dataset: Record<string, Buffer> = {}) {
  const data = await mockHub(dataset, { repoType: 'dataset' });
  const hub = await mockHub(model, {
    gate: ({ path }, response) => {
      if (!/^\/(api\/)?datasets\//.test(path)) return false;
      response.writeHead(302, { location: data.url + path }).end();
      return true;
    },
  });
  open.push(data, hub);
  vi.stubEnv('HF_ENDPOINT', hub.url);
  return hub;
}

/** A Hub that answers everything in one way. */
async function hubThat(answer: Parameters<typeof listen>[0]): Promise<Loopback> {
  const hub = await listen(answer);
  open.push(hub);
  vi.stubEnv('HF_ENDPOINT', hub.url);
  return hub;
}

/** A Hub that takes uploads: files over 5,000 bytes by LFS. */
const uploadHub = () =>
  hubThat((seen, response) => {
    const path = seen.path.replace(/\?.*/, '');
    if (path === '/api/repos/create') json(response, { url: 'u', id: '1' });
    else if (path.endsWith('/preupload/main')) {
      const { files } = JSON.parse(seen.body) as { files: { path: string; size: number }[] };
      const mode = (size: number) => (size > 5000 ? 'lfs' : 'regular');
      json(response, {
        files: files.map((file) => ({ path: file.path, uploadMode: mode(file.size), shouldIgnore: false })),
      });
    } else if (path.endsWith('/objects/batch')) {
      const { objects } = JSON.parse(seen.body) as { objects: { oid: string; size: number }[] };
      const href = `http://${seen.headers.host}/storage`;
      json(response, {
        transfer: 'basic',
        objects: objects.map((object) => ({ ...object, actions: { upload: { href } } })),
      });
    } else if (path.endsWith('/commit/main')) json(response, { commitOid: 'abc123', commitUrl: 'u', hookOutput: '' });
    else response.writeHead(path === '/storage' ? 200 : 404).end('{}');
  });

/** The operations of the commit that was sent: kind, path, and the text of small files. */
const committed = ({ seen }: Loopback) =>
  lines(seen.find(({ path }) => path.includes('/commit/'))?.body ?? '')
    .filter(({ key }) => key !== 'header')
    .map(({ key, value }) => ({ key, path: value.path, text: Buffer.from(value.content ?? '', 'base64').toString() }));

describe('pull', () => {
  it('brings a model into the cache once and tells where it lies, also offline', async () => {
    const hub = await hubWith({ ...filesOf(TINY), 'model.gguf': Buffer.alloc(2000) });
    const snapshot = join(home, 'hub/models--org--name/snapshots', COMMIT);
    const first = await gemmatune(['pull', 'org/name']);
    expect(first.stderr).toContain('Downloading org/name [####################] 100 %');
    expect(first).toMatchObject({ status: 0, stdout: `${snapshot}\n` });
    expect((await readdir(snapshot)).sort()).toEqual(MODEL_FILES);
    expect(await readFile(join(snapshot, 'model.safetensors'))).toEqual(
      await readFile(join(TINY, 'model.safetensors')),
    );

    const loaded = hub.storageSeen.length;
    expect((await gemmatune(['pull', 'org/name@main'])).status).toBe(0);
    expect(hub.storageSeen.length).toBe(loaded);
    await Promise.all(open.splice(0).map((server) => server.close()));
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    const { status, stdout } = await gemmatune(['pull', 'org/name', '--json']);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ id: 'org/name', paths: [snapshot] });
    expect((await gemmatune(['inspect', snapshot, '--check'])).status).toBe(0);
  });

  it('brings one split of a data set', async () => {
    const rows = Buffer.from('{"text":"a"}\n');
    await hubWith({}, { 'data/train.jsonl': rows, 'data/test.jsonl': rows });
    const { status, stdout } = await gemmatune(['pull', 'org/name', '--dataset', '--split', 'test']);
    expect(status).toBe(0);
    expect(stdout).toBe(`${join(home, 'hub/datasets--org--name/snapshots', COMMIT, 'data/test.jsonl')}\n`);
  });

  it('continues where Ctrl-C stopped it', async () => {
    const weights = Buffer.alloc(3_000_000, 7);
    const hub = await hubWith({ 'config.json': Buffer.from('{}'), 'model.safetensors': weights });
    hub.faults.cutAfter.push(1_000_000);
    const stopped = await gemmatune(['pull', 'org/name'], { abortOn: 'Downloading org/name' });
    expect(stopped.status).toBe(130);
    expect((await gemmatune(['pull', 'org/name'])).status).toBe(0);
    const snapshot = join(home, 'hub/models--org--name/snapshots', COMMIT);
    expect((await readFile(join(snapshot, 'model.safetensors'))).equals(weights)).toBe(true);
  });
});

describe('what the Hub refuses', () => {
  it('a gated model: the page of its licence, whether a token is there or not', async () => {
    await hubThat((_seen, response) => refuse(response, 403, 'GatedRepo', 'Access is restricted'));
    const call = ['finetune', '--model', 'google/gemma', '--train', 'x', '--output-dir', at('never')];
    const without = await gemmatune(call);
    expect(without).toMatchObject({ status: 2, stdout: '' });
    expect(without.stderr).toBe(
      `gemmatune finetune: google/gemma is gated (403; no token found): accept the licence at https://huggingface.co/google/gemma, then set HF_TOKEN to a token of that account from https://huggingface.co/settings/tokens.\n`,
    );
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    const { status, stderr } = await gemmatune(['pull', 'google/gemma']);
    expect(status).toBe(2);
    expect(stderr).toContain(
      'the token from HF_TOKEN has no access (403): accept the licence at https://huggingface.co/google/gemma',
    );
    expect(stderr).not.toContain('hf_secret');
  });

  it('a wrong token', async () => {
    await hubThat((_seen, response) => refuse(response, 401, '', 'Invalid credentials in Authorization header'));
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    const { status, stderr } = await gemmatune(['pull', 'org/name']);
    expect(status).toBe(2);
    expect(stderr).toContain('refused the token from HF_TOKEN (401, Invalid credentials');
    expect(stderr).not.toContain('hf_secret');
    vi.stubEnv('HF_TOKEN', 'hf_\u00e9');
    expect((await gemmatune(['pull', 'org/name'])).stderr).toContain('The token from HF_TOKEN holds a space');
  });

  it('a name that is not there', async () => {
    await hubWith({});
    const { status, stderr } = await gemmatune(['pull', 'org/other']);
    expect(status).toBe(2);
    expect(stderr).toContain('The model org/other was not found on 127.0.0.1');
  });

  it('nothing at all: there is no network, or offline mode is on', async () => {
    const hub = await hubThat(() => {});
    await hub.close();
    const { status, stderr } = await gemmatune(['pull', 'org/name']);
    expect(status).toBe(2);
    expect(stderr).toMatch(/cannot be reached \(ECONNREFUSED\): .*org\/name is not complete in the cache/);
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    const offline = await gemmatune(['pull', 'org/name']);
    expect(offline.status).toBe(2);
    expect(offline.stderr).toContain('is not in the cache');
  });
});

describe('finetune', () => {
  const PROGRAM = fileURLToPath(new URL('../bin/gemmatune.mjs', import.meta.url));
  const call = (out: string, ...more: string[]) => [
    ...['finetune', '--model', 'org/name', '--train', at('rows.jsonl'), '--output-dir', at(out), '--max-steps', '1'],
    ...['--dtype', 'float32', '--json', ...more],
  ];
  beforeEach(() => writeFile(at('rows.jsonl'), jsonl([{ input_ids: [2, 3, 4] }])));

  it('asks nobody with --offline, and says what the cache lacks', async () => {
    const hub = await hubWith(filesOf(TINY));
    const missing = await gemmatune(call('missing', '--offline'));
    expect(missing.status).toBe(2);
    expect(missing.stderr).toMatch(
      /org\/name at revision main is not in the cache .* offline mode is on: pull it once/,
    );
    expect(hub.seen).toEqual([]);
    expect((await gemmatune(['pull', 'org/name'])).status).toBe(0);
    const before = hub.seen.length;
    const { status, stdout, stderr } = await gemmatune(call('cached', '--offline'));
    expect(status, stderr).toBe(0);
    expect(hub.seen.length).toBe(before);
    expect(JSON.parse(readFileSync(at('cached', 'trial.json'), 'utf8')).made_of.model).toBe(`org/name@${COMMIT}`);
    expect(JSON.parse(stdout).status).toBe('completed');
  });

  const cannotMount = spawnSync('unshare', ['-m', 'true']).status !== 0;
  it.skipIf(cannotMount).each([[[]], [['--offline']]])(
    'trains from a cache that is mounted read-only (mounts need root) %j',
    async (more) => {
      await hubWith(filesOf(TINY));
      expect((await gemmatune(['pull', 'org/name'])).status).toBe(0);
      const mounted =
        'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && ! touch "$0/x" 2>/dev/null && exec "$@"';
      const words = [process.execPath, PROGRAM, ...call(`read-only${more.length}`, ...more)];
      const child = spawn('unshare', ['-m', 'sh', '-c', mounted, home, ...words], { stdio: 'pipe' });
      let said = '';
      child.stderr.on('data', (text) => {
        said += text;
      });
      const [status] = await once(child, 'close');
      expect(status, said).toBe(0);
    },
  );
});

describe('push', () => {
  it('refuses before anything is sent: no token, no model', async () => {
    const hub = await uploadHub();
    const without = await gemmatune(['push', TINY, '--repo', 'me/tuned']);
    expect(without.status).toBe(2);
    expect(without.stderr).toContain('Pushing to me/tuned needs a token with write access (no token found)');
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    await mkdir(at('empty'), { recursive: true });
    const empty = await gemmatune(['push', at('empty'), '--repo', 'me/tuned']);
    expect(empty.status).toBe(2);
    expect(empty.stderr).toContain('has no config.json');
    expect(hub.seen).toEqual([]);
  });

  it('a token that may only read', async () => {
    await hubThat((_seen, response) => {
      response.writeHead(403, { 'content-type': 'application/json' }).end('{"error":"no"}');
    });
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    const { status, stderr } = await gemmatune(['push', TINY, '--repo', 'me/tuned']);
    expect(status).toBe(2);
    expect(stderr).toContain('The token from HF_TOKEN may not write to me/tuned (403)');
  });

  it('sends the model with a card that says what finetune did', async () => {
    await longModel(at('base'));
    const rows = ['Porto', 'Faro', 'Braga', 'Evora'].map((city) => toolRow('get_weather', `{"city": "${city}"}`, city));
    await writeFile(at('train.jsonl'), jsonl(rows));
    const tuned = await gemmatune([
      ...['finetune', '--model', at('base'), '--train', at('train.jsonl'), '--eval-file', at('train.jsonl')],
      ...[
        '--evaluate',
        '2',
        '--max-new-tokens',
        '2',
        '--max-steps',
        '2',
        '--save-steps',
        '1',
        '--output-dir',
        at('tuned'),
      ],
      ...['--learning-rate', '0.0125', '--dtype', 'float32'],
    ]);
    expect(tuned.status).toBe(0);
    await writeFile(at('tuned', '.secret'), 'x');

    const hub = await uploadHub();
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    const { status, stdout, stderr } = await gemmatune([
      'push',
      at('tuned'),
      '--repo',
      'me/tuned',
      '--message',
      'First',
      '--json',
    ]);
    expect(stderr).toContain('Uploading to me/tuned');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ url: `${hub.url}/me/tuned`, commit: 'abc123' });
    const sent = committed(hub);
    const names = sent.map(({ path }) => path);
    expect(names).toEqual(
      expect.arrayContaining([...MODEL_FILES, 'README.md', 'gemmatune.json', 'report.html', 'trainer_state.json']),
    );
    expect(names.filter((name) => /checkpoint|secret/.test(name))).toEqual([]);
    expect(sent.find(({ path }) => path === 'model.safetensors')?.key).toBe('lfsFile');
    expect(hub.seen.some(({ method, path }) => method === 'PUT' && path === '/storage')).toBe(true);

    const card = sent.find(({ path }) => path === 'README.md')?.text;
    expect(card).toContain('license: gemma');
    expect(card).toContain('# me/tuned');
    expect(card).toContain('base, fine-tuned for function calling with gemmatune');
    expect(card).toContain('- Data set: train.jsonl\n- Rows trained on: 4\n- Rows held out: 4');
    expect(card).toContain('| `learningRate` | 0.0125 |');
    expect(card).toContain('| `maxSteps` | 2 |');
    expect(card).toMatch(/\| `tool_accuracy` \| [\d.]+ % \(\d of 2\) \| [\d.]+ % \(\d of 2\) \|/);
    expect(card).toContain('Measured on 2 rows not trained on, greedy, at most 2 new tokens, native format.');
  });
});

/** Rows in the layout of Hermes Reasoning Tool Use, made for tests. */
const HERMES = fileURLToPath(new URL('../../../../shared/data/hermes_style/train.parquet', import.meta.url));

describe.skipIf(!existsSync(HERMES))('the main job from the Hub (shared data hermes_style/train.parquet)', () => {
  const call = (out: string) => [
    ...['finetune', '--model', 'org/name', '--dataset', 'org/name', '--take', '40', '--eval', '12', '--evaluate', '2'],
    ...['--max-new-tokens', '2', '--max-steps', '2', '--per-device-train-batch-size', '1', '--max-length', '512'],
    ...['--logging-steps', '1', '--dtype', 'float32', '--loss', 'full', '--output-dir', at(out), '--json'],
  ];

  it('downloads, prepares, evaluates, trains and evaluates in one command, and again without network', async () => {
    const model = await longModel(at('real'), 16_384);
    await hubWith(filesOf(model), {
      'README.md': Buffer.from('#'),
      'data/train-00000-of-00001.parquet': readFileSync(HERMES),
    });
    const { status, stdout, stderr } = await gemmatune(call('online'));
    expect(stderr).toContain('took 40 of them after the shuffle');
    expect(status).toBe(0);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ status: 'completed', global_step: 2, before: { n_eval: 2 }, after: { n_eval: 2 } });
    const record = JSON.parse(await readFile(at('online', 'gemmatune.json'), 'utf8'));
    expect(record).toMatchObject({
      base_model: 'org/name',
      dataset: 'org/name',
      before: result.before,
      after: result.after,
    });

    await Promise.all(open.splice(0).map((server) => server.close()));
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect((await gemmatune(call('offline'))).status).toBe(0);
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    const hub = await uploadHub();
    const push = ['push', at('offline'), '--repo', 'me/tuned'];
    const withData = await gemmatune(push);
    expect(withData.status).toBe(2);
    expect(withData.stderr).toContain('data holds the rows of the training, which would be uploaded too');
    expect(hub.seen).toEqual([]);
    expect((await gemmatune([...push, '--with-data'])).status).toBe(0);
    expect(committed(hub).map(({ path }) => path)).toContain('data/train.jsonl');
    for (const name of ['data/train.jsonl', 'data/eval.jsonl', 'model.safetensors'])
      expect(await readFile(at('offline', name))).toEqual(await readFile(at('online', name)));
  });
});
