/** Forks the ranks of this machine, passes signals on to them, and leaves none behind. */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { DIVERGED, DONE, FAILED, INTERRUPTED, PREEMPTED, WRONG_INPUT } from '../exit-status.js';
import { type StopMessage, Stopped, stoppedStatus } from '../interrupts.js';
import { LAUNCHER_VARIABLES, type LauncherPlace } from './place.js';

const PROGRAM = fileURLToPath(new URL('../../bin/gemmatune.mjs', import.meta.url));

export interface Launch {
  /** The command and its words, as this process got them. */
  words: readonly string[];
  place: LauncherPlace;
  /** Rank 0's are the caller's; of other ranks errors alone are heard. */
  stdout: Writable;
  stderr: Writable;
  /** Its reason is a Stopped. */
  signal: AbortSignal;
  /** Seconds that ranks get to say why and end, once one has failed: it is known to all by then. And from SIGTERM to SIGKILL. Default 10. */
  grace?: number;
  /** What ranks run. Default: this program. */
  program?: string;
}

/** Resolves to the exit status of the run, when all its ranks are gone: the first bad one, 0 where there is none. */
export async function launch(options: Launch): Promise<number> {
  const { place, stderr, signal } = options;
  const folder = place.address === null ? await mkdtemp(join(tmpdir(), 'gemmatune-ranks-')) : null;
  const address = place.address ?? `unix:${join(folder!, 'rendezvous')}`;
  // Ranks of other machines cannot know a secret that is made here.
  const run = process.env.GEMMATUNE_RUN ?? (folder === null ? '' : randomBytes(16).toString('hex'));
  const ranks = Array.from({ length: place.count }, (_, local) => start(options, local, address, run));
  const kill = () => ranks.forEach(({ child }) => void child.kill('SIGKILL'));
  process.on('exit', kill); // a second Ctrl-C
  const pass = () => {
    const reason = signal.reason;
    tell(ranks, { stop: reason instanceof Stopped ? reason.signal : 'SIGTERM' });
  };
  signal.addEventListener('abort', pass, { once: true });
  if (signal.aborted) pass();
  try {
    return await statusOf(ranks, options, (line) => void stderr.write(`${line}\n`));
  } finally {
    process.off('exit', kill);
    signal.removeEventListener('abort', pass);
    if (folder !== null) await rm(folder, { recursive: true, force: true });
  }
}

interface Rank {
  rank: number;
  child: ChildProcess;
  ended: Promise<{ status: number | null; signal: NodeJS.Signals | null; error: Error | null }>;
}

function start(
  { words, place, stdout, stderr, program = PROGRAM }: Launch,
  local: number,
  address: string,
  run: string,
): Rank {
  const rank = place.first + local;
  const own = { rank, 'world-size': place.size, 'local-rank': local, 'local-size': place.count, address, devices: 1 };
  const flags = Object.entries(own).map(([name, value]) => `--${name}=${value}`);
  const inherited = Object.entries(process.env).filter(([name]) => !LAUNCHER_VARIABLES.test(name));
  const first = rank === 0;
  const through = (stream: Writable) => (stream === process.stdout || stream === process.stderr ? 'inherit' : 'pipe');
  const child = fork(program, [...words, ...flags], {
    env: { ...Object.fromEntries(inherited), GEMMATUNE_RUN: run },
    stdio: ['ignore', first ? through(stdout) : 'ignore', first ? through(stderr) : 'pipe', 'ipc'],
  });
  if (first) {
    child.stdout?.pipe(stdout, { end: false });
    child.stderr?.pipe(stderr, { end: false });
  } else prefixLines(child.stderr!, `rank ${rank}: `, stderr);
  const ended = new Promise<Awaited<Rank['ended']>>((resolve) => {
    child.on('error', (error) => child.pid === undefined && resolve({ status: null, signal: null, error }));
    child.on('close', (status, signal) => resolve({ status, signal, error: null }));
  });
  return { rank, child, ended };
}

function prefixLines(from: Readable, prefix: string, to: Writable): void {
  createInterface({ input: from, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) =>
    to.write(`${prefix}${line}\n`),
  );
}

/** A rank that ends between the look and the message is no error. */
function tell(ranks: readonly Rank[], message: StopMessage): void {
  for (const { child } of ranks) if (child.connected) child.send(message, () => {});
}

/** Waits for all ranks. After the first that ends badly the others have so long to end too. */
async function statusOf(
  ranks: readonly Rank[],
  { signal, grace = 10 }: Launch,
  say: (line: string) => void,
): Promise<number> {
  const left = new Set(ranks);
  const bad: number[] = [];
  const timers: NodeJS.Timeout[] = [];
  const after = (seconds: number, body: () => void) => void timers.push(setTimeout(body, 1000 * seconds));
  const endOthers = () => {
    for (const { child } of left) child.kill('SIGTERM');
    after(grace, () => {
      for (const { rank, child } of left) {
        say(`rank ${rank} (process ${child.pid}) did not stop within ${grace} s: it is killed.`);
        child.kill('SIGKILL');
      }
    });
  };
  await Promise.all(
    ranks.map(async (each) => {
      const { status, signal: killedBy, error } = await each.ended;
      left.delete(each);
      if (status === DONE) return;
      if (bad.push(status ?? FAILED) > 1) return;
      if (error !== null) say(`rank ${each.rank} could not be started: ${error.message}.`);
      else if (killedBy !== null) say(`rank ${each.rank} (process ${each.child.pid}) was killed by ${killedBy}.`);
      after(grace, endOthers);
    }),
  );
  for (const timer of timers) clearTimeout(timer);
  // A rank that stopped because another was told to cannot know what for; this process was told.
  const stopped = bad.some((status) => status === INTERRUPTED || status === PREEMPTED);
  if (stopped && signal.aborted) return stoppedStatus(signal);
  // A rank that is told why another one fails ends with FAILED, and may be gone before that one is.
  return bad.find((status) => status === WRONG_INPUT || status === DIVERGED) ?? bad[0] ?? DONE;
}
