// What happens to a run when one of its ranks fails, for real: all of them stop within a time, say who and where, and leave no process behind.

import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { finetuneWords, glooIsMissing, processesOf, type Running, start, until, writeRows } from './launchers.js';

const folder = mkdtempSync(join(tmpdir(), 'gemmatune-faults-'));
const rows = writeRows(join(folder, 'rows.jsonl'));
const TIMEOUT = 3; // seconds without a sign of life

const noGloo = glooIsMissing();
const describeOverGloo = (name: string, tests: () => void) =>
  describe.skipIf(noGloo !== null)(`${name}${noGloo ? ` (skipped: ${noGloo})` : ''}`, tests);

const started: Running[] = [];
afterEach(() => {
  for (const { child } of started.splice(0)) child.kill('SIGKILL');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function launch(words: string[], env: NodeJS.ProcessEnv = {}): Running {
  const running = start(words, env, folder);
  started.push(running);
  return running;
}

const at = (name: string) => join(folder, name);
/** A run of three ranks that would take very long. */
const endless = (name: string, more: string[] = []) =>
  finetuneWords(rows, at(name), 3, {
    updates: 100_000,
    saveSteps: 5,
    more: ['--devices', '3', '--rank-timeout', `${TIMEOUT}`, ...more],
  });

const hasCheckpoint = (name: string) =>
  existsSync(at(name)) && readdirSync(at(name)).some((entry) => /^checkpoint-\d+$/.test(entry));

async function trains(name: string, running: Running): Promise<void> {
  await until(`${name} has a checkpoint`, 60, () => hasCheckpoint(name), running.stderr);
}

/** Nothing of the run is left after a moment. */
async function leavesNothing(name: string): Promise<void> {
  await until(`no process of ${name} is left`, 5, () => processesOf(at(name)).length === 0);
}

describeOverGloo('a rank', () => {
  it.each([0, 1])('%d that is killed stops all within seconds, named, and the run resumes', async (victim) => {
    const name = `killed-${victim}`;
    const running = launch(endless(name));
    await trains(name, running);
    process.kill(processesOf(at(name)).find(({ rank }) => rank === victim)!.pid, 'SIGKILL');
    const began = performance.now();
    const { status, stderr } = await running.ended;
    expect(status, stderr).toBe(1);
    expect((performance.now() - began) / 1000).toBeLessThan(10);
    expect(stderr).toMatch(new RegExp(`rank ${victim} \\(.*\\) (was lost|was killed by SIGKILL)`));
    await leavesNothing(name);

    const again = launch(endless(name, ['--resume']));
    await until('it resumes', 60, () => /Continuing from .*checkpoint-\d+/.test(again.stderr()), again.stderr);
    again.child.kill('SIGTERM');
    expect((await again.ended).status).toBe(75);
    await leavesNothing(name);
  });

  it.each([0, 2])('%d that is frozen is given up after the timeout, named', async (victim) => {
    const name = `frozen-${victim}`;
    const running = launch(endless(name));
    await trains(name, running);
    process.kill(processesOf(at(name)).find(({ rank }) => rank === victim)!.pid, 'SIGSTOP');
    const began = performance.now();
    const { status, stderr } = await running.ended;
    expect(status, stderr).toBe(1);
    expect((performance.now() - began) / 1000).toBeLessThan(60);
    expect(stderr).toMatch(new RegExp(`rank ${victim} \\(.*\\) has not been heard of for ${TIMEOUT} s`));
    await leavesNothing(name);
  });

  it('with other settings stops all, the difference named', async () => {
    const words = (rank: number, learningRate: string) =>
      finetuneWords(rows, at('settings'), 2, {
        learningRate,
        more: ['--rank', `${rank}`, '--world-size', '2', '--address', 'tcp:127.0.0.1:29734'],
      });
    const both = await Promise.all([launch(words(0, '1e-3')).ended, launch(words(1, '2e-3')).ended]);
    for (const { status, stderr } of both) {
      expect(status, stderr).toBe(2);
      expect(stderr).toMatch(/learningRate/);
      expect(stderr).toMatch(/0\.001/);
      expect(stderr).toMatch(/0\.002/);
    }
  });
  it('on another instruction set stops all: sums would be rounded otherwise', async () => {
    const words = (rank: number) =>
      finetuneWords(rows, at('instructions'), 2, {
        more: ['--rank', `${rank}`, '--world-size', '2', '--address', 'tcp:127.0.0.1:29735'],
      });
    const lower = launch(words(1), { GEMMATUNE_CPU: 'portable' });
    for (const { status, stderr } of await Promise.all([launch(words(0)).ended, lower.ended])) {
      expect(status, stderr).toBe(2);
      expect(stderr).toMatch(/Rank 1 differs from rank 0: instructionSet is 'portable'/);
    }
  });
});

it('a rank that never comes is named by those that have', async () => {
  const name = 'missing';
  const words = (rank: number) =>
    finetuneWords(rows, at(name), 2, {
      more: ['--rank', `${rank}`, '--world-size', '2', '--address', 'tcp:127.0.0.1:29733', '--join-timeout', '2'],
    });
  const { status, stderr } = await launch(words(0)).ended;
  expect(status).toBe(1);
  expect(stderr).toMatch(/rank 1 of 2 has not come within 2 s/);
  const other = await launch(words(1)).ended;
  expect(other.status).toBe(1);
  expect(other.stderr).toMatch(/127\.0\.0\.1:29733/);
});

it('a port that is in use is said so', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const more = ['--rank', '0', '--world-size', '2', '--address', `tcp:127.0.0.1:${port}`];
  const { status, stderr } = await launch(finetuneWords(rows, at('port'), 2, { more })).ended;
  server.close();
  expect(status).not.toBe(0);
  expect(stderr).toMatch(new RegExp(`port ${port} .*in use`));
});

describeOverGloo('a run', () => {
  // Ranks on CPUs have no need of shared memory; that NCCL's ranks are told of a small one is tested in native/comm.
  it.skipIf(process.getuid?.() !== 0)('a full /dev/shm stops nothing', async () => {
    const full =
      'mount -t tmpfs -o size=64k tmpfs /dev/shm && ! head -c 1M /dev/zero 2>/dev/null >/dev/shm/full && exec "$@"';
    const words = finetuneWords(rows, at('shm'), 2, { more: ['--devices', '2'] });
    const { status, stderr } = await launch(['unshare', '--mount', 'sh', '-c', full, 'sh', ...words]).ended;
    expect(status, stderr).toBe(0);
  });

  it('a launcher that is killed takes its ranks with it', async () => {
    const running = launch(endless('launcher'));
    await trains('launcher', running);
    running.child.kill('SIGKILL');
    await until('no rank is left', 30, () => processesOf(at('launcher')).length === 0);
  });

  it('Ctrl-C stops all after the running update, with a checkpoint', async () => {
    const running = launch(endless('interrupted'));
    await trains('interrupted', running);
    for (const { pid } of processesOf(at('interrupted'))) process.kill(pid, 'SIGINT'); // as a terminal does, to the whole group
    const { status, stderr } = await running.ended;
    expect(status, stderr).toBe(130);
    await leavesNothing('interrupted');
  });
});
