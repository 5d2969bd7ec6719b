// `gemmatune finetune` of the tiny golden model by several ranks, under each launcher, for tests: real processes of the built program.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../../packages/cli/bin/gemmatune.mjs', import.meta.url));
const CACHE = fileURLToPath(new URL('../../native/build/CMakeCache.txt', import.meta.url));
const TINY = fileURLToPath(new URL('../golden/tiny', import.meta.url));

/** Rows of unlike lengths, one without a target, so that ranks have unlike work. */
export function writeRows(file: string, count = 36): string {
  const rows = Array.from({ length: count }, (_, row) => {
    const length = 5 + ((row * 7) % 40);
    const input_ids = [2, ...Array.from({ length }, (_, t) => 3 + ((row * 31 + t * t * 17) % 240))];
    const labels = input_ids.map((id, t) => (row === 4 || t < 3 ? -100 : id));
    return JSON.stringify({ input_ids, labels });
  });
  writeFileSync(file, `${rows.join('\n')}\n`);
  return file;
}

interface Ended {
  /** null where a signal ended it. */
  status: number | null;
  stdout: string;
  stderr: string;
  seconds: number;
}

export interface Running {
  child: ChildProcess;
  /** What it has said so far. */
  stderr: () => string;
  ended: Promise<Ended>;
}

/** Starts a program; its environment has no launcher's variables but those given. */
export function start([program, ...args]: readonly string[], env: NodeJS.ProcessEnv = {}, cwd?: string): Running {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(RANK|WORLD_SIZE|LOCAL_RANK|MASTER_|PET_|SLURM_|OMPI_|PMI|MPI_|JOB_COMPLETION)/.test(name),
  );
  const began = performance.now();
  const child = spawn(program!, args, { env: { ...Object.fromEntries(inherited), ...env }, cwd, stdio: 'pipe' });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => {
    stdout += text;
  });
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  const ended = once(child, 'close').then(([status]) => ({
    status: status as number | null,
    stdout,
    stderr,
    seconds: (performance.now() - began) / 1000,
  }));
  return { child, stderr: () => stderr, ended };
}

/** The words of a run in float32 whose updates have `rowsOfUpdate` rows, on however many ranks. */
export function finetuneWords(
  train: string,
  outputDir: string,
  ranks: number,
  { rowsOfUpdate = 12, updates = 6, saveSteps = 3, learningRate = '1e-3', more = [] as string[] } = {},
): string[] {
  const options = {
    model: TINY,
    train,
    'output-dir': outputDir,
    dtype: 'float32',
    threads: '1',
    'per-device-train-batch-size': '1',
    'gradient-accumulation-steps': String(rowsOfUpdate / ranks),
    'learning-rate': learningRate,
    'lr-scheduler-type': 'linear',
    'warmup-ratio': '0',
    'max-steps': String(updates),
    'logging-steps': '1',
    'save-steps': String(saveSteps),
  };
  const words = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
  return [process.execPath, PROGRAM, 'finetune', ...words, '--json', ...more];
}

export interface Result {
  losses: number[];
  norms: number[];
  /** float32, of the whole model. */
  weights: Float32Array;
}

/** What a run left in its folder. */
export function resultOf(outputDir: string): Result {
  const state = JSON.parse(readFileSync(join(outputDir, 'trainer_state.json'), 'utf8'));
  const rows = (state.log_history as Record<string, number>[]).filter((row) => 'loss' in row);
  const file = readFileSync(join(outputDir, 'model.safetensors'));
  const header = 8 + Number(file.readBigUInt64LE(0));
  const weights = new Float32Array(file.buffer.slice(file.byteOffset + header, file.byteOffset + file.length));
  return { losses: rows.map((row) => row.loss!), norms: rows.map((row) => row.grad_norm!), weights };
}

/** Whether a program can be run here. */
export const has = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;

/** Why ranks on CPUs can exchange nothing in this build, or null: the build looked for Gloo, and did not find it. */
export function glooIsMissing(): string | null {
  const cache = existsSync(CACHE) ? readFileSync(CACHE, 'utf8') : '';
  return /^GEMMATUNE_GLOO_(INCLUDE|LIBRARY):\w+=.*NOTFOUND$/m.test(cache)
    ? 'the build found no Gloo (Debian: libgloo-dev, then npm run setup)'
    : null;
}

/** Waits until `done`, or fails saying what was waited for and what was said meanwhile. */
export async function until(what: string, seconds: number, done: () => boolean, said = () => ''): Promise<void> {
  const end = performance.now() + 1000 * seconds;
  while (!done()) {
    if (performance.now() > end) throw new Error(`${what}: not within ${seconds} s\n${said()}`);
    await new Promise((go) => setTimeout(go, 20));
  }
}

/** Processes of a run, found by its output folder in their command lines, each with its rank (null: the launcher). */
export function processesOf(outputDir: string): { pid: number; rank: number | null; state: string }[] {
  const { stdout } = spawnSync('ps', ['-eo', 'pid=,stat=,args=', '-ww'], { encoding: 'utf8' });
  return stdout
    .split('\n')
    .filter((line) => line.includes(outputDir) && line.includes(PROGRAM))
    .map((line) => {
      const [, pid, state] = line.match(/^\s*(\d+)\s+(\S+)/)!;
      const rank = line.match(/--rank[ =](\d+)/)?.[1];
      return { pid: Number(pid), rank: rank === undefined ? null : Number(rank), state: state! };
    });
}
