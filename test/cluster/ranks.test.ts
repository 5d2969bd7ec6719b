// Several ranks on this machine, under every launcher that there is: losses and weights are those of one rank on the same rows, and the same bits whoever started them.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { finetuneWords, glooIsMissing, has, type Result, resultOf, start, writeRows } from './launchers.js';
import { Slurm, slurmIsMissing } from './slurm.js';

const folder = mkdtempSync(join(tmpdir(), 'gemmatune-ranks-'));
const rows = writeRows(join(folder, 'rows.jsonl'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Sums in another order: float32 over up to 500 tokens, and AdamW's division where a gradient is near zero. */
const LOSS_LIMIT = 1e-5;
const WEIGHT_LIMIT = 2e-3;

async function run(name: string, words: string[], env: NodeJS.ProcessEnv = {}): Promise<Result> {
  const { status, stderr } = await start(words, env, folder).ended;
  expect(status, `${name}: ${stderr}`).toBe(0);
  return resultOf(join(folder, name));
}

const words = (name: string, ranks: number, more: string[] = []) =>
  finetuneWords(rows, join(folder, name), ranks, { more });

/** One rank's run, that all others are held against, and where it started. */
let alone: Result;
let first: Result;
beforeAll(async () => {
  alone = await run('alone', words('alone', 1));
  first = await run('one-update', finetuneWords(rows, join(folder, 'one-update'), 1, { updates: 1 }));
});

function expectAsAlone(got: Result): void {
  expect(got.losses.length).toBe(alone.losses.length);
  for (const [i, loss] of alone.losses.entries()) {
    expect(Math.abs(got.losses[i]! / loss - 1), `loss of update ${i + 1}`).toBeLessThan(LOSS_LIMIT);
    expect(Math.abs(got.norms[i]! / alone.norms[i]! - 1), `norm of update ${i + 1}`).toBeLessThan(10 * LOSS_LIMIT);
  }
  let off = 0;
  let way = 0;
  for (const [i, weight] of alone.weights.entries()) {
    off += (got.weights[i]! - weight) ** 2;
    way += (first.weights[i]! - weight) ** 2;
  }
  expect(Math.sqrt(off / way), 'distance of the weights, of the way that updates moved them').toBeLessThan(
    WEIGHT_LIMIT,
  );
}

const sameBits = (a: Result, b: Result) =>
  expect(Buffer.compare(Buffer.from(a.weights.buffer), Buffer.from(b.weights.buffer)), 'same weights').toBe(0);

const noGloo = glooIsMissing();
const skipped = noGloo ? ` (skipped: ${noGloo})` : '';

describe.skipIf(noGloo !== null).each([2, 3, 4])(`%d ranks${skipped}`, (size) => {
  let forked: Result;

  beforeAll(async () => {
    forked = await run(`fork-${size}`, words(`fork-${size}`, size, ['--devices', `${size}`]));
  });

  it('forked by the program train as one rank does', () => expectAsAlone(forked));

  it('give the same bits again', async () => {
    sameBits(await run(`again-${size}`, words(`again-${size}`, size, ['--devices', `${size}`])), forked);
  });

  it('train as one rank does with whole gradients added up', async () => {
    const more = ['--devices', `${size}`, '--no-sharded'];
    expectAsAlone(await run(`whole-${size}`, words(`whole-${size}`, size, more)));
  });

  it.skipIf(!has('torchrun'))('give the same bits under torchrun', async () => {
    const name = `torchrun-${size}`;
    // Standard output through its logs: torchrun 1.13 fails under Python 3.11 where it is to leave both streams alone.
    const logs = ['--redirects', '1', '--tee', '1', '--log_dir', join(folder, 'torchrun')];
    const place = ['--nproc_per_node', `${size}`, '--master_port', `${29600 + size}`];
    const launcher = ['torchrun', '--no_python', ...logs, ...place];
    sameBits(await run(name, [...launcher, ...words(name, size)]), forked);
  });

  it.skipIf(!has('mpirun.openmpi'))('give the same bits under mpirun of Open MPI', async () => {
    const name = `openmpi-${size}`;
    const launcher = ['mpirun.openmpi', '--allow-run-as-root', '--oversubscribe', '-n', `${size}`];
    sameBits(await run(name, [...launcher, ...words(name, size)]), forked);
  });

  it.skipIf(!has('mpirun.mpich'))('give the same bits under mpirun of MPICH', async () => {
    const name = `mpich-${size}`;
    sameBits(await run(name, ['mpirun.mpich', '-n', `${size}`, ...words(name, size)]), forked);
  });
});

const missing = slurmIsMissing() ?? noGloo;
// Its nodes' names lead nowhere here: the address is given.
describe.skipIf(missing !== null)(`Slurm of two nodes${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let slurm: Slurm;
  beforeAll(async () => {
    slurm = await Slurm.start();
  });
  afterAll(() => slurm?.stop());

  it.each([2, 4])('gives %d ranks that train as one rank does', async (size) => {
    const name = `slurm-${size}`;
    const launcher = ['srun', '--nodes=2', `--ntasks=${size}`, `--ntasks-per-node=${size / 2}`];
    const { status, stderr } = await slurm.run([...launcher, ...words(name, size)], {
      env: { MASTER_ADDR: '127.0.0.1' },
      seconds: 110,
    });
    expect(status, stderr).toBe(0);
    const got = resultOf(join(folder, name));
    expectAsAlone(got);
    sameBits(got, resultOf(join(folder, `fork-${size}`)));
  });
});

describe.skipIf(noGloo !== null)(`two emulated GPUs${skipped}`, () => {
  it('train as one does, through the CUDA code path', async () => {
    const emulated = (name: string, ranks: number, more: string[]) =>
      finetuneWords(rows, join(folder, name), ranks, { updates: 2, more: ['--device', 'emulated', ...more] }).map(
        (word) => (word === 'float32' ? 'bfloat16' : word),
      );
    const one = await start(emulated('gpu-1', 1, []), {}, folder).ended;
    expect(one.status, one.stderr).toBe(0);
    const two = await start(emulated('gpu-2', 2, ['--devices', '2']), {}, folder).ended;
    expect(two.status, two.stderr).toBe(0);
    const [a, b] = [resultOf(join(folder, 'gpu-1')), resultOf(join(folder, 'gpu-2'))];
    for (const [i, loss] of a.losses.entries()) expect(Math.abs(b.losses[i]! / loss - 1)).toBeLessThan(0.01);
    for (const [i, norm] of a.norms.entries()) expect(Math.abs(b.norms[i]! / norm - 1)).toBeLessThan(0.03);
  });
});
