import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Slurm, slurmIsMissing } from './slurm.js';

const missing = slurmIsMissing();
const EXAMPLE = readFileSync(fileURLToPath(new URL('../../examples/clusters/slurm.sbatch', import.meta.url)), 'utf8');

/** What `env` printed, by name. Tasks' lines may come in any order, so a task prints its own in one write. */
function variables(text: string): Record<string, string> {
  return Object.fromEntries(text.split('\n').flatMap((line) => (line.includes('=') ? [line.split(/=(.*)/s, 2)] : [])));
}

/** Command lines of processes that name this folder. */
function processesOf(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((id) => {
      try {
        return readFileSync(`/proc/${id}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return []; // ended meanwhile
      }
    })
    .filter((line) => line.includes(folder));
}

describe.skipIf(missing !== null)(`a Slurm of two nodes${missing === null ? '' : ` (skipped: ${missing})`}`, () => {
  let slurm: Slurm;
  let limited: string;
  let preempted: string;

  beforeAll(async () => {
    slurm = await Slurm.start();
    // Ends long before its limit of a minute, when the signal comes: Slurm looks at limits every half minute.
    limited = await slurm.submit(
      '#!/bin/sh\nsrun sh -c \'trap "echo USR2; exit 75" USR2; while :; do sleep 0.1; done\'\n',
      [...['--time=1', '--signal=USR2@50', '--output=limited.txt']],
    );
    // What the example does with the statuses of a program; requeued, it waits for a while.
    preempted = await example('preempted', '[ "$SLURM_RESTART_COUNT" ] && echo again && exit\necho first\nexit 75');
  });
  afterAll(() => slurm?.stop());

  /** Submits the example with a shell script as the program, which writes to NAME.txt. @returns the job's id */
  function example(name: string, program: string): Promise<string> {
    const bin = join(slurm.folder, name);
    mkdirSync(bin);
    writeFileSync(join(bin, 'gemmatune'), `#!/bin/sh\n${program}\n`, { mode: 0o755 });
    return slurm.submit(EXAMPLE.replace('srun ', `export PATH=${bin}:$PATH\nsrun --unbuffered `), [
      ...['--time=5', `--output=${name}.txt`],
    ]);
  }
  const linesOf = (name: string, line: string) =>
    slurm
      .read(`${name}.txt`)
      .split('\n')
      .filter((each) => each === line).length;

  it.each([
    [2, ['0 0 n1', '1 0 n2']],
    [4, ['0 0 n1', '1 1 n1', '2 0 n2', '3 1 n2']],
  ])('tells %i tasks on two nodes who they are', async (tasks, expected) => {
    const print = 'echo "$SLURM_PROCID $SLURM_LOCALID $SLURMD_NODENAME $SLURM_STEP_NUM_TASKS $SLURM_STEP_NODELIST"';
    const layout = ['-N2', `-n${tasks}`, `--ntasks-per-node=${tasks / 2}`];
    const { status, stdout, stderr } = await slurm.run(['srun', '--quiet', ...layout, 'sh', '-c', print]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout.trim().split('\n').sort()).toEqual(expected.map((line) => `${line} ${tasks} n[1-2]`));
  });

  it('gives the batch shell no step, and a step on one node its own list', async () => {
    const script = '#!/bin/sh\nenv > batch.txt\nsrun env > all.txt\nsrun -N1 -n1 env > one.txt\n';
    const id = await slurm.submit(script, ['-N2', '-n2', '--output=none.txt']);
    expect(await slurm.ended(id)).toMatchObject([{ id, state: 'COMPLETED', exitStatus: 0 }]);
    const batch = variables(slurm.read('batch.txt'));
    expect(batch).toMatchObject({ SLURM_PROCID: '0', SLURM_NTASKS: '2', SLURM_JOB_NODELIST: 'n[1-2]' });
    expect(Object.keys(batch).filter((name) => name.startsWith('SLURM_STEP'))).toEqual([]);
    expect(variables(slurm.read('all.txt'))).toMatchObject({ SLURM_STEP_ID: '0', SLURM_STEP_NUM_TASKS: '2' });
    expect(variables(slurm.read('one.txt'))).toMatchObject({
      SLURM_STEP_ID: '1',
      SLURM_STEP_NUM_TASKS: '1',
      SLURM_STEP_NODELIST: 'n1',
      SLURM_NODELIST: 'n[1-2]', // of the job, unlike what its name says
    });
  });

  it('runs an array of 8', async () => {
    const id = await slurm.submit('#!/bin/sh\necho $SLURM_ARRAY_TASK_ID\nexit $((SLURM_ARRAY_TASK_ID == 5))\n', [
      ...['--array=0-7', '--output=array-%a.txt'],
    ]);
    const jobs = await slurm.ended(id);
    const ends = jobs.map(({ task, state, exitStatus }) => [Number(task), state, exitStatus]);
    expect(ends.sort(([a], [b]) => Number(a) - Number(b))).toEqual(
      Array.from({ length: 8 }, (_, i) => (i === 5 ? [i, 'FAILED', 1] : [i, 'COMPLETED', 0])),
    );
    for (let i = 0; i < 8; i++) expect(slurm.read(`array-${i}.txt`)).toBe(`${i}\n`);
  });

  it('requeues a job, which starts again under its id', async () => {
    const id = await slurm.submit(
      '#!/bin/sh\n[ "$SLURM_RESTART_COUNT" ] && echo again && exit\necho first\nscontrol requeue $SLURM_JOB_ID\nsleep 60\n',
      ['--requeue', '--output=requeue.txt', '--open-mode=append'],
    );
    expect(await slurm.ended(id)).toMatchObject([{ id, state: 'COMPLETED', restarts: 1 }]);
    expect(slurm.read('requeue.txt')).toMatch(/^first\n(.*\n)*again\n$/);
  });

  it('sends SIGTERM to the tasks of a cancelled job, and lets them end', async () => {
    const task = 'trap "echo TERM; exit 0" TERM; echo ready; while :; do sleep 0.1; done';
    const id = await slurm.submit(`#!/bin/sh\nsrun --unbuffered -N2 -n2 sh -c '${task}'\n`, [
      ...['-N2', '-n2', '--output=cancelled.txt'],
    ]);
    await slurm.until('both tasks are ready', 30, () => linesOf('cancelled', 'ready') === 2);
    await slurm.run(['scancel', id]);
    expect(await slurm.ended(id)).toMatchObject([{ id, state: 'CANCELLED' }]);
    expect(linesOf('cancelled', 'TERM')).toBe(2);
  });

  it.each([
    ['--gpus-per-node=2', ['0: 0,1', '1: 0,1']],
    ['--gpus-per-task=1', ['0: 0', '1: 1']],
  ])('shows GPUs to tasks: %s', async (gpus, expected) => {
    const print = 'echo "$SLURM_LOCALID: $CUDA_VISIBLE_DEVICES"';
    const { stdout } = await slurm.run(['srun', '--quiet', '-N1', '-n2', gpus, 'sh', '-c', print]);
    expect(stdout.trim().split('\n').sort()).toEqual(expected);
  });

  it('requeues the example when its ranks were preempted', async () => {
    expect(await slurm.ended(preempted, 100)).toMatchObject([{ state: 'COMPLETED', exitStatus: 0, restarts: 1 }]);
    for (const line of ['first', 'again']) expect(linesOf('preempted', line)).toBe(4);
  });

  it('does not requeue the example when it failed, or was cancelled', async () => {
    const failed = await example('failed', 'exit $((SLURM_PROCID == 3 ? 4 : 1))');
    expect(await slurm.ended(failed)).toMatchObject([{ state: 'FAILED', exitStatus: 4, restarts: 0 }]);
    const wait = 'trap "echo TERM; exit 75" TERM; echo ready; while :; do sleep 0.1; done';
    const stopped = await example('stopped', wait);
    await slurm.until('all ranks are ready', 60, () => linesOf('stopped', 'ready') === 4);
    await slurm.run(['scancel', stopped]);
    expect(await slurm.ended(stopped)).toMatchObject([{ state: 'CANCELLED', restarts: 0 }]);
    expect(linesOf('stopped', 'TERM')).toBe(4);
  });

  it('sends the signal that was asked for before the time limit, and passes the status on', async () => {
    expect(await slurm.ended(limited, 100)).toMatchObject([{ state: 'FAILED', exitStatus: 75 }]);
    expect(slurm.read('limited.txt')).toContain('USR2');
  });

  it('leaves no process, socket or file, not even of a job that runs', async () => {
    await slurm.submit('#!/bin/sh\necho runs\nexec sleep 300\n', ['--output=left.txt']);
    await slurm.until('the job runs', 30, () => slurm.read('left.txt') === 'runs\n');
    expect(processesOf(slurm.folder).length).toBeGreaterThan(0);
    await slurm.stop();
    expect(processesOf(slurm.folder)).toEqual([]);
    expect(existsSync(slurm.folder)).toBe(false);
  });
});
