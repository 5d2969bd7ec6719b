import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Slurm, slurmIsMissing } from './slurm.js';

const missing = slurmIsMissing();

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

  beforeAll(async () => {
    slurm = await Slurm.start();
    // Ends long before its limit of a minute, when the signal comes: Slurm looks at limits every half minute.
    limited = await slurm.submit(
      '#!/bin/sh\nsrun sh -c \'trap "echo USR2; exit 75" USR2; while :; do sleep 0.1; done\'\n',
      [...['--time=1', '--signal=USR2@50', '--output=limited.txt']],
    );
  });
  afterAll(() => slurm?.stop());

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
    const seen = (word: string) =>
      slurm
        .read('cancelled.txt')
        .split('\n')
        .filter((line) => line === word).length;
    await slurm.until('both tasks are ready', 30, () => seen('ready') === 2);
    await slurm.run(['scancel', id]);
    expect(await slurm.ended(id)).toMatchObject([{ id, state: 'CANCELLED' }]);
    expect(seen('TERM')).toBe(2);
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
