/** The launcher with real processes: small programs as ranks, and the built modules of dist/. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { workFolder } from '../program.case.js';

const { folder, at } = workFolder();
const dist = (name: string) => JSON.stringify(new URL(`../../dist/${name}`, import.meta.url).href);

/** A rank: writes what it was told to `<rank>.json`, then does as its first word says. */
const RANK = `
import { renameSync, writeFileSync } from 'node:fs';
import { stoppedStatus, withInterrupts } from ${dist('interrupts.js')};
const [mode, ...words] = process.argv.slice(2);
const rank = Number(words.find((word) => word.startsWith('--rank=')).slice(7));
const wait = () => new Promise(() => setInterval(() => {}, 1000));
process.exitCode = await withInterrupts(async ({ signal }) => {
  const file = process.cwd() + '/' + rank + '.json';
  const { GEMMATUNE_RUN, RANK, SLURM_PROCID } = process.env;
  writeFileSync(file + '.part', JSON.stringify({ pid: process.pid, words, GEMMATUNE_RUN, RANK, SLURM_PROCID }));
  renameSync(file + '.part', file);
  console.log('out of ' + rank);
  console.error('err of ' + rank);
  if (mode === 'good') return 0;
  if (mode === 'fails' && rank === 1) return 2;
  if (mode === 'dies' && rank === 1) process.kill(process.pid, 'SIGKILL');
  if (mode === 'deaf' && rank === 1) return 4;
  if (mode === 'deaf' || mode === 'stubborn') await wait();
  const alive = setInterval(() => {}, 1000);
  await new Promise((resolve) => signal.addEventListener('abort', () => { clearInterval(alive); resolve(); }, { once: true }));
  writeFileSync(process.cwd() + '/' + rank + '.stopped', signal.reason.signal);
  return stoppedStatus(signal);
});
`;

const LAUNCHER = `
import { withInterrupts } from ${dist('interrupts.js')};
import { launch } from ${dist('launch/launch.js')};
const [rank, mode, count] = process.argv.slice(2);
const place = { kind: 'launcher', first: 0, count: Number(count), size: Number(count), address: null, via: '--devices' };
process.exitCode = await withInterrupts(({ stdout, stderr, signal }) =>
  launch({ words: [mode], place, stdout, stderr, signal, grace: 0.5, program: rank }));
`;

const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

let runs = 0;
/** Starts a launcher in a folder of its own. */
async function run(mode: string, count = 3, env: NodeJS.ProcessEnv = {}) {
  const cwd = at(`run-${runs++}`);
  await mkdir(cwd);
  await writeFile(at('rank.mjs'), RANK);
  await writeFile(at('launcher.mjs'), LAUNCHER);
  const child = spawn(process.execPath, [at('launcher.mjs'), at('rank.mjs'), mode, `${count}`], {
    cwd,
    env: { ...process.env, TMPDIR: cwd, ...env },
    stdio: 'pipe',
  });
  started.push(child);
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].on('data', (part) => {
      text[name] += part;
    });
  const ended = once(child, 'close').then(([status]) => ({ status: status as number | null, ...text }));
  const told = (rank: number) => JSON.parse(readFileSync(`${cwd}/${rank}.json`, 'utf8'));
  const pids = () => Array.from({ length: count }, (_, rank) => told(rank).pid as number);
  const stopped = (rank: number) => readFileSync(`${cwd}/${rank}.stopped`, 'utf8');
  const ready = () => until(() => Array.from({ length: count }, (_, rank) => `${cwd}/${rank}.json`).every(existsSync));
  return { cwd, child, ended, told, pids, stopped, ready };
}

async function until(done: () => boolean, seconds = 20): Promise<void> {
  const end = Date.now() + 1000 * seconds;
  while (!done()) {
    if (Date.now() > end) throw new Error(`not within ${seconds} s`);
    await new Promise((go) => setTimeout(go, 20));
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('launch', () => {
  it('starts ranks that know their places, with no variable of another launcher', async () => {
    const { cwd, ended, told } = await run('good', 3, { RANK: '5', SLURM_PROCID: '7' });
    const { status, stdout, stderr } = await ended;
    expect(status).toBe(0);
    expect(stdout).toBe('out of 0\n');
    expect(stderr.split('\n').sort()).toEqual(['', 'err of 0', 'rank 1: err of 1', 'rank 2: err of 2']);
    const secrets = new Set<string>();
    for (const rank of [0, 1, 2]) {
      const { words, GEMMATUNE_RUN, ...others } = told(rank);
      secrets.add(GEMMATUNE_RUN);
      expect(others).toEqual({ pid: expect.any(Number) });
      expect(words).toEqual([
        ...[`--rank=${rank}`, '--world-size=3', `--local-rank=${rank}`, '--local-size=3'],
        ...[expect.stringMatching(`^--address=unix:${cwd}/gemmatune-ranks-\\w+/rendezvous$`), '--devices=1'],
      ]);
    }
    expect([...secrets]).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/)]);
    expect(readdirSync(cwd).filter((name) => name.startsWith('gemmatune-ranks-'))).toEqual([]);
  });

  it('makes a folder for them that others cannot enter', async () => {
    const { cwd, child, ended, ready } = await run('waits');
    await ready();
    const [meeting] = readdirSync(cwd).filter((name) => name.startsWith('gemmatune-ranks-'));
    expect(statSync(`${cwd}/${meeting}`).mode & 0o777).toBe(0o700);
    child.kill('SIGTERM');
    await ended;
  });

  it.each([
    ['ends badly', 'fails', 2, /^rank 1: err of 1$/m],
    ['is killed', 'dies', 1, /^rank 1 \(process \d+\) was killed by SIGKILL\.$/m],
  ])(
    'gives the others a while where one %s, then SIGTERM, and returns the first bad status',
    async (_what, mode, expected, said) => {
      const { ended, pids, stopped } = await run(mode);
      const { status, stderr } = await ended;
      expect(status, stderr).toBe(expected);
      expect(stderr).toMatch(said);
      expect([stopped(0), stopped(2)]).toEqual(['SIGTERM', 'SIGTERM']);
      expect(pids().filter(alive)).toEqual([]);
    },
  );

  it('kills those that do not stop then', async () => {
    const { ended, pids } = await run('deaf');
    const { status, stderr } = await ended;
    expect(status).toBe(4);
    expect(stderr).toMatch(/^rank 0 \(process \d+\) did not stop within 0\.5 s: it is killed\.$/m);
    expect(pids().filter(alive)).toEqual([]);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 75],
    ['SIGUSR1', 75],
    ['SIGUSR2', 75],
  ] as const)('passes %s on, and returns %i', async (signal, expected) => {
    const { child, ended, pids, ready, stopped } = await run('waits');
    await ready();
    child.kill(signal);
    const { status, stderr } = await ended;
    expect(status, stderr).toBe(expected);
    for (const rank of [0, 1, 2]) expect(stopped(rank)).toBe(signal);
    expect(pids().filter(alive)).toEqual([]);
    expect(stderr).not.toContain('Debugger');
  });

  it('counts a Ctrl-C that the terminal gave to all as one', async () => {
    const { child, ended, pids, ready, stopped } = await run('waits');
    await ready();
    for (const pid of [...pids(), child.pid!]) process.kill(pid, 'SIGINT');
    expect((await ended).status).toBe(130);
    for (const rank of [0, 1, 2]) expect(stopped(rank)).toBe('SIGINT');
  });

  it('kills all at a second Ctrl-C', async () => {
    const { child, pids, ready } = await run('stubborn');
    await ready();
    child.kill('SIGINT');
    await new Promise((go) => setTimeout(go, 100));
    child.kill('SIGINT');
    // Its streams close only when the last rank is gone.
    const [status] = await once(child, 'exit');
    expect(status).toBe(130);
    await until(() => pids().filter(alive).length === 0, 5); // long before ranks without a launcher end by themselves
  });

  it('takes its ranks with it when it is killed', async () => {
    const { child, pids, ready, stopped } = await run('waits');
    await ready();
    child.kill('SIGKILL');
    await until(() => pids().filter(alive).length === 0);
    for (const rank of [0, 1, 2]) expect(stopped(rank)).toBe('SIGTERM');
  });

  it('takes even deaf ranks with it', { timeout: 40_000 }, async () => {
    const { child, pids, ready } = await run('stubborn', 2);
    await ready();
    child.kill('SIGKILL');
    await new Promise((go) => setTimeout(go, 15_000));
    await until(() => pids().filter(alive).length === 0);
  });

  it('says which rank could not be started', async () => {
    await writeFile(at('launcher.mjs'), LAUNCHER);
    const child = spawn(process.execPath, [at('launcher.mjs'), at('none.mjs'), 'good', '2'], {
      cwd: folder,
      stdio: 'pipe',
    });
    let stderr = '';
    child.stderr.on('data', (part) => {
      stderr += part;
    });
    const [status] = await once(child, 'close');
    expect(status).toBe(1);
    expect(stderr).toMatch(/rank 1: .*Cannot find module/);
  });
});
