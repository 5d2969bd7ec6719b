import { describe, expect, it } from 'vitest';
import { findPlace, LAUNCHER_VARIABLES, type PlaceFlags } from './place.js';
import { firstHost, tasksOnNode } from './slurm-lists.js';

const NONE: PlaceFlags = { devices: 1, rank: null, worldSize: null, localRank: null, localSize: null, address: null };
const place = (env: Record<string, string>, flags: Partial<PlaceFlags> = {}) =>
  findPlace({ ...NONE, ...flags }, env, 77, '/tmp');

const TORCHRUN = {
  ...{ RANK: '3', WORLD_SIZE: '4', LOCAL_RANK: '1', LOCAL_WORLD_SIZE: '2', MASTER_ADDR: 'a', MASTER_PORT: '29500' },
  ...{ TORCHELASTIC_RUN_ID: 'none', TORCHELASTIC_USE_AGENT_STORE: 'True', TORCHELASTIC_RESTART_COUNT: '2' },
};
const PLAIN = { RANK: '1', WORLD_SIZE: '2', MASTER_ADDR: 'a', MASTER_PORT: '29500' };
const SLURM = {
  ...{ SLURM_JOB_ID: '123456', SLURM_STEP_ID: '0', SLURM_PROCID: '2', SLURM_STEP_NUM_TASKS: '3', SLURM_NTASKS: '8' },
  ...{ SLURM_LOCALID: '0', SLURM_NODEID: '1', SLURM_STEP_NODELIST: 'n[1-2]', SLURM_STEP_TASKS_PER_NODE: '2,1' },
};
const OPEN_MPI = {
  ...{ OMPI_COMM_WORLD_RANK: '1', OMPI_COMM_WORLD_SIZE: '2', OMPI_COMM_WORLD_LOCAL_RANK: '1' },
  ...{ OMPI_COMM_WORLD_LOCAL_SIZE: '2', OMPI_MCA_ess_base_jobid: '4242' },
};
const HYDRA = { PMI_RANK: '1', PMI_SIZE: '2', MPI_LOCALRANKID: '1', MPI_LOCALNRANKS: '2' };
const KUBEFLOW = {
  ...{ PET_NNODES: '2', PET_NODE_RANK: '1', PET_NPROC_PER_NODE: '4', PET_MASTER_ADDR: 'h', PET_MASTER_PORT: '29400' },
};

describe('a rank', () => {
  it.each([
    [
      'torchrun, whose agent has the port',
      TORCHRUN,
      {},
      { rank: 3, size: 4, localRank: 1, localSize: 2, address: 'tcp:a:29501', run: 'torchrun none 2', via: 'torchrun' },
    ],
    [
      'torchrun without an agent store',
      { ...TORCHRUN, TORCHELASTIC_USE_AGENT_STORE: 'False' },
      {},
      { address: 'tcp:a:29500' },
    ],
    ['torchrun below srun, which counts the torchruns', { ...SLURM, ...TORCHRUN }, {}, { rank: 3, size: 4 }],
    ['RANK', PLAIN, {}, { rank: 1, size: 2, localRank: 0, localSize: null, address: 'tcp:a:29500', via: 'RANK' }],
    [
      'a Slurm step',
      SLURM,
      {},
      { rank: 2, size: 3, localRank: 0, localSize: 1, address: 'tcp:n1:23456', run: 'Slurm 123456.0 0', via: 'Slurm' },
    ],
    ['a Slurm step with a port', { ...SLURM, MASTER_PORT: '5' }, {}, { address: 'tcp:n1:5' }],
    [
      'an older Slurm step',
      {
        SLURM_JOBID: '7',
        SLURM_STEP_ID: '1',
        SLURM_PROCID: '0',
        SLURM_NTASKS: '2',
        SLURM_LOCALID: '0',
        SLURM_JOB_NODELIST: 'x',
      },
      {},
      { rank: 0, size: 2, address: 'tcp:x:20007', localSize: null },
    ],
    ['Slurm and PMI that agree', { ...SLURM, PMI_RANK: '2', PMI_SIZE: '3' }, {}, { rank: 2, via: 'Slurm' }],
    [
      'Open MPI on one machine',
      OPEN_MPI,
      {},
      { rank: 1, localRank: 1, localSize: 2, address: 'unix:/tmp/gemmatune-4242/rendezvous', run: 'mpirun 4242' },
    ],
    [
      'Open MPI without a job id',
      { ...OPEN_MPI, OMPI_MCA_ess_base_jobid: undefined },
      {},
      { address: 'unix:/tmp/gemmatune-77/rendezvous' },
    ],
    [
      'Open MPI with a namespace',
      { ...OPEN_MPI, OMPI_MCA_ess_base_jobid: undefined, PMIX_NAMESPACE: 'a/b@1' },
      {},
      { address: 'unix:/tmp/gemmatune-a_b_1/rendezvous' },
    ],
    [
      'Open MPI, many machines',
      { ...OPEN_MPI, OMPI_COMM_WORLD_LOCAL_SIZE: '1' },
      { address: 'tcp:h:5' },
      { address: 'tcp:h:5' },
    ],
    ['Open MPI, MASTER_ADDR', { ...OPEN_MPI, MASTER_ADDR: 'm', MASTER_PORT: '9' }, {}, { address: 'tcp:m:9' }],
    [
      'MPICH on one machine',
      HYDRA,
      {},
      { rank: 1, size: 2, localRank: 1, address: 'unix:/tmp/gemmatune-77/rendezvous', via: 'PMI' },
    ],
    [
      'flags, believed before all else',
      { ...TORCHRUN, ...SLURM },
      { rank: 1, worldSize: 3, localRank: 0, address: 'tcp:h:5' },
      { rank: 1, size: 3, localRank: 0, localSize: null, address: 'tcp:h:5', run: '', via: '--rank' },
    ],
    ['flags on one machine', {}, { rank: 1, worldSize: 3, address: 'unix:/x/y' }, { localRank: 1, localSize: 3 }],
    ['the secret of a run', { GEMMATUNE_RUN: 's' }, { rank: 1, worldSize: 3, address: 'unix:/x/y' }, { run: 's' }],
    [
      'an Indexed Job',
      { JOB_COMPLETION_INDEX: '4' },
      { worldSize: 8, address: 'tcp:job-0.svc:5' },
      { rank: 4, size: 8, localRank: 0, address: 'tcp:job-0.svc:5' },
    ],
    [
      'torchrun told by Kubeflow',
      {
        ...TORCHRUN,
        PET_NNODES: '2',
        PET_NODE_RANK: '1',
        PET_NPROC_PER_NODE: '2',
        PET_MASTER_ADDR: 'h',
        PET_MASTER_PORT: '1',
      },
      {},
      { rank: 3, size: 4 },
    ],
    [
      'torchrun below Kubeflow that lets it count',
      {
        ...TORCHRUN,
        PET_NNODES: '2',
        PET_NODE_RANK: '1',
        PET_NPROC_PER_NODE: 'gpu',
        PET_MASTER_ADDR: 'h',
        PET_MASTER_PORT: '1',
      },
      {},
      { rank: 3, size: 4 },
    ],
  ])('by %s', (_what, env, flags, expected) => {
    expect(place(env as Record<string, string>, flags)).toMatchObject({ kind: 'rank', ...expected });
  });
});

describe('a launcher', () => {
  it.each([
    ['--devices', {}, { devices: 3 }, { first: 0, count: 3, size: 3, address: null }],
    ['Kubeflow', KUBEFLOW, {}, { first: 4, count: 4, size: 8, address: 'tcp:h:29400', via: 'Kubeflow' }],
    ['Kubeflow and the same --devices', KUBEFLOW, { devices: 4 }, { count: 4 }],
    [
      'Kubeflow that lets torch count',
      { ...KUBEFLOW, PET_NPROC_PER_NODE: 'gpu' },
      { devices: 2 },
      { first: 2, count: 2, size: 4 },
    ],
    [
      'Kubeflow on one machine',
      { PET_NNODES: '1', PET_NPROC_PER_NODE: '2' },
      {},
      { first: 0, count: 2, size: 2, address: null },
    ],
    ['Kubeflow with as many nodes as at least and at most', { ...KUBEFLOW, PET_NNODES: '2:2' }, {}, { size: 8 }],
    [
      'one task of Slurm with several devices',
      { ...SLURM, SLURM_PROCID: '0', SLURM_STEP_NUM_TASKS: '1' },
      { devices: 2 },
      { count: 2 },
    ],
    [
      'the shell of a batch script',
      { SLURM_JOB_ID: '5', SLURM_PROCID: '0', SLURM_NTASKS: '4', SLURM_LOCALID: '0' },
      { devices: 2 },
      { count: 2 },
    ],
  ])('by %s', (_what, env, flags, expected) => {
    expect(place(env as Record<string, string>, flags)).toMatchObject({ kind: 'launcher', ...expected });
  });
});

describe('one process', () => {
  it.each([
    ['nothing', {}, {}],
    ['a launcher of one', { ...PLAIN, RANK: '0', WORLD_SIZE: '1' }, {}],
    ['a job array, whose index is no rank', { JOB_COMPLETION_INDEX: '4' }, {}],
    [
      'the shell of a batch script',
      { SLURM_JOB_ID: '5', SLURM_PROCID: '0', SLURM_NTASKS: '4', SLURM_LOCALID: '0' },
      {},
    ],
    ['the same, its step named', { ...SLURM, SLURM_STEP_ID: '4294967291' }, {}],
    ['Kubeflow with one of one', { PET_NNODES: '1', PET_NPROC_PER_NODE: '1' }, {}],
    ['a rank of one', {}, { rank: 0, worldSize: 1 }],
  ])('by %s', (_what, env, flags) => {
    expect(place(env, flags)).toEqual({ kind: 'alone' });
  });
});

describe('is refused', () => {
  it.each([
    [
      'RANK and Slurm that disagree',
      { ...PLAIN, ...SLURM },
      {},
      /^RANK says that this is rank 1 of 2, and Slurm that it is rank 2 of 3/,
    ],
    [
      'two MPIs that disagree',
      { ...OPEN_MPI, ...HYDRA, PMI_RANK: '0' },
      {},
      /Open MPI says .* rank 1 of 2, and PMI that it is rank 0 of 2/,
    ],
    [
      'Kubeflow and RANK that disagree',
      { ...KUBEFLOW, ...PLAIN },
      {},
      /ranks 4 to 7 of 8, and RANK that this is rank 1 of 2/,
    ],
    ['a size that is another', PLAIN, { worldSize: 3 }, /--world-size: found 3, but RANK has started 2 ranks/],
    [
      'devices below a launcher',
      PLAIN,
      { devices: 2 },
      /--devices: found 2, expected 1: RANK has started a process for each/,
    ],
    ['devices and Kubeflow that disagree', KUBEFLOW, { devices: 2 }, /found 2, but PET_NPROC_PER_NODE is 4/],
    ['RANK alone', { RANK: '1' }, {}, /RANK is set, but WORLD_SIZE is not/],
    ['RANK without an address', { RANK: '1', WORLD_SIZE: '2' }, {}, /RANK is set, but MASTER_ADDR is not/],
    ['no number', { ...PLAIN, RANK: 'one' }, {}, /RANK: found 'one', expected a whole number/],
    [
      'a rank beyond the size',
      { ...PLAIN, RANK: '2' },
      {},
      /RANK says that this is rank 2 of 2, expected a rank from 0 to 1/,
    ],
    ['--rank alone', {}, { rank: 1 }, /--rank is 1, but --world-size is missing/],
    ['--world-size alone', {}, { worldSize: 2 }, /nothing says which of these ranks this process is; give --rank/],
    [
      'ranks that do not know where to meet',
      {},
      { rank: 1, worldSize: 2 },
      /--rank does not say where the ranks meet; give --address/,
    ],
    ['MPI on many machines', { ...OPEN_MPI, OMPI_COMM_WORLD_LOCAL_SIZE: '1' }, {}, /Open MPI does not say where/],
    [
      'an address that is none',
      {},
      { rank: 1, worldSize: 2, address: 'host:5' },
      /--address: found 'host:5', expected tcp:host:port/,
    ],
    ['a port that is none', {}, { rank: 1, worldSize: 2, address: 'tcp:host:70000' }, /--address: found/],
    ['elastic nodes', { ...KUBEFLOW, PET_NNODES: '1:4' }, {}, /PET_NNODES: found '1:4'/],
  ])('%s', (_what, env, flags, message) => {
    expect(() => place(env, flags)).toThrow(message);
  });
});

it.each([
  ['n1', 'n1'],
  ['n[1-3,7]', 'n1'],
  ['n[07,9]', 'n07'],
  ['n[5]', 'n5'],
  ['rack[01-02]n[1-4]-ib,login', 'rack01n1-ib'],
  ['a.b-c,d', 'a.b-c'],
])('the first host of %s is %s', (list, host) => {
  expect(firstHost(list)).toBe(host);
});

it.each(['', 'n[', 'n[a-b]', 'n 1'])('%j is no list of hosts', (list) => {
  expect(() => firstHost(list)).toThrow(/Slurm's list of nodes/);
});

it.each([
  ['2', 0, 2],
  ['2(x3),1', 2, 2],
  ['2(x3),1', 3, 1],
  ['2(x3),1', 4, null],
  ['two', 0, null],
])('%s: tasks of node %i', (counts, node, tasks) => {
  expect(tasksOnNode(counts, node)).toBe(tasks);
});

it('variables of every launcher are known, and no others', () => {
  for (const name of Object.keys({
    ...TORCHRUN,
    ...SLURM,
    ...OPEN_MPI,
    ...HYDRA,
    ...KUBEFLOW,
    JOB_COMPLETION_INDEX: '',
    PMIX_NAMESPACE: '',
  }))
    expect(name).toMatch(LAUNCHER_VARIABLES);
  for (const name of ['PATH', 'HF_TOKEN', 'CUDA_VISIBLE_DEVICES', 'GEMMATUNE_RUN', 'RANKING', 'NCCL_DEBUG'])
    expect(name).not.toMatch(LAUNCHER_VARIABLES);
});
