import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { COMMON, parseOptions } from './command-line.mjs';

const ENTRY = fileURLToPath(new URL('bench.mjs', import.meta.url));
const TINY = fileURLToPath(new URL('../test/golden/tiny', import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'gemmatune-bench-'));
afterAll(() => rm(folder, { recursive: true }));

/**
 * Runs the entry.
 * @param {string[]} words
 * @param {{ interruptOn?: string }} [options] interruptOn: Ctrl-C as soon as stderr says this
 * @returns {Promise<{ status: number | null, stdout: string, stderr: string }>}
 */
function bench(words, { interruptOn } = {}) {
  const child = spawn(process.execPath, [ENTRY, ...words]);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'])
    child[name].setEncoding('utf8').on('data', (text) => {
      output[name] += text;
      if (interruptOn && name === 'stderr' && text.includes(interruptOn)) child.kill('SIGINT');
    });
  return new Promise((done) => child.on('close', (status) => done({ status, ...output })));
}

describe('the entry', () => {
  it.each([
    [['trian'], "bench: 'trian' is no suite; did you mean train?\n"],
    [['train', '--modle', 'x'], 'bench: --modle is no option here; did you mean --model?\n'],
    [['train', 'now'], "bench: found the word 'now', expected options\n"],
    [['train', '--model'], 'bench: --model has no value\n'],
    [['--jsno'], 'bench: --jsno is no option here; did you mean --json?\n'],
  ])('%j is refused', async (words, stderr) => expect(await bench(words)).toEqual({ status: 2, stdout: '', stderr }));

  it('helps', async () => {
    const { status, stdout } = await bench(['train', '--help']);
    expect(status).toBe(0);
    expect(stdout).toContain('Usage: npm run bench -- train [options]');
    expect(stdout).toContain('--accumulation     Micro-batches of a step. [8]');
    expect(stdout).toContain('--json');
  });

  it('measures, and keeps what it found', async () => {
    const words = ['train', '--model', TINY, '--sequences', '4', '--steps', '2', '--out', folder, '--json'];
    const { status, stdout } = await bench(words);
    expect(status).toBe(0);
    const [file] = await readdir(folder);
    expect(file).toMatch(/^\d{4}-\d\d-\d\d-train\.json$/);
    const result = JSON.parse(await readFile(join(folder, file), 'utf8'));
    expect(JSON.parse(stdout)).toEqual(result);
    expect(result).toMatchObject({ schema: 1, suite: 'train', short: false, settings: { model: 'tiny' } });
    expect(result.results.map(({ loss }) => loss)).toEqual(['full', 'completion']);
    for (const each of result.results) {
      expect(each.losses).toHaveLength(2);
      expect(Object.keys(each.phases)).toEqual(expect.arrayContaining(['products', 'attention', 'head', 'update']));
    }
  });

  it('keeps nothing that follows from other results', async () => {
    const out = join(folder, 'modelled');
    const { status, stdout } = await bench(['roofline', '--target', 't4', '--out', out]);
    expect(status).toBe(0);
    expect(stdout).toContain('Tesla T4');
    expect(await readdir(out).catch(() => [])).toEqual([]);
  });

  it('leaves nothing behind after Ctrl-C', async () => {
    const out = join(folder, 'interrupted');
    const words = ['train', '--model', TINY, '--losses', 'completion,full', '--steps', '3'];
    const { status, stderr } = await bench([...words, '--out', out], { interruptOn: 'loss completion' });
    expect(stderr).toContain('Stopping.');
    expect(status).toBe(130);
    expect(await readdir(out).catch(() => [])).toEqual([]);
  });

  it('says that a peer is missing', async () => {
    const { status, stderr } = await bench(['peers', '--python', 'no-such-python', '--model', TINY, '--out', folder]);
    expect(status).toBe(1);
    expect(stderr).toBe('bench: no-such-python cannot be run: ENOENT\n');
  });
});

describe('parseOptions', () => {
  it('gives defaults, and what was given', () => {
    const { values, given } = parseOptions(['--json', '--out=x'], COMMON);
    expect(values).toEqual({ out: 'x', short: false, json: true, help: false });
    expect([...given]).toEqual(['json', 'out']);
  });

  it('refuses a value for a switch', () =>
    expect(() => parseOptions(['--json=1'], COMMON)).toThrow("--json: found the value '1', expected none"));
});
