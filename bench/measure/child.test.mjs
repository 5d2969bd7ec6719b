import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { optionWords, runChild } from './child.mjs';

const node = (program, options) => runChild(process.execPath, ['-e', program], options);
const isRunning = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('runChild', () => {
  it('gives the last JSON line, whatever else is printed', async () => {
    const program = `console.log('{"a":1}'); console.log('{not json'); console.log('{"a":2}'); console.log('bye')`;
    expect(await node(program)).toEqual({ a: 2 });
  });

  it.each([
    ["throw new TypeError('no such thing')", 'node -e failed (status 1): TypeError: no such thing'],
    ["console.error('it is over'); process.exit(3)", 'node -e failed (status 3): it is over'],
    ['process.kill(process.pid, "SIGKILL")', 'node -e failed (SIGKILL): it said nothing'],
    ['console.log(1)', 'node -e printed no JSON line at its end'],
  ])('%s', (program, message) => expect(node(program)).rejects.toThrow(message));

  it('says that there is no such program', () =>
    expect(runChild('no-such-program', ['x'])).rejects.toThrow('no-such-program cannot be run: ENOENT'));

  it('ends what takes too long', () =>
    expect(node('setInterval(() => {}, 1000)', { timeoutSeconds: 0.5 })).rejects.toThrow('longer than 0.5 s'));

  it('ends the program and what it started when aborted', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gemmatune-child-'));
    const file = join(folder, 'pid');
    const grandchild = `require('fs').writeFileSync(${JSON.stringify(file)}, String(process.pid)); setInterval(() => {}, 1000)`;
    const program = `require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(grandchild)}]); setInterval(() => {}, 1000)`;
    const controller = new AbortController();
    const running = node(program, { signal: controller.signal });
    const pid = await vi.waitFor(
      async () => Number((await readFile(file, 'utf8')) || Number.NaN) || expect.fail(),
      20_000,
    );
    expect(isRunning(pid)).toBe(true);
    controller.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
    await vi.waitFor(() => expect(isRunning(pid)).toBe(false), 20_000);
    await rm(folder, { recursive: true });
  });

  it('does not start when aborted already', () =>
    expect(node('console.log("{}")', { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough'));
});

it('optionWords', () => {
  expect(optionWords({ a: 1, b: '', c: undefined, d: true, e: false, f: 'x' })).toEqual([
    '--a',
    '1',
    '--d',
    '--f',
    'x',
  ]);
});
