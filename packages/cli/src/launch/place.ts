/** Who this process is among the ranks of a run, by its flags and by the variables that launchers set. Touches nothing. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UsageError } from '../options.js';
import { firstHost, tasksOnNode } from './slurm-lists.js';

export interface PlaceFlags {
  /** Devices of this machine to fork ranks for, where no launcher has. */
  devices: number;
  rank: number | null;
  worldSize: number | null;
  localRank: number | null;
  localSize: number | null;
  address: string | null;
}

/** One rank of several. */
export interface RankPlace {
  kind: 'rank';
  rank: number;
  size: number;
  /** Among the ranks of this machine. */
  localRank: number;
  /** Ranks of this machine; null where nobody says. */
  localSize: number | null;
  /** Where ranks meet: `unix:/folder/socket`, `tcp:host:port`. */
  address: string;
  /** Known to the ranks of this run alone. */
  run: string;
  /** What said so, for people: `torchrun`, `Slurm`, … */
  via: string;
}

/** `via` of a rank whose flags say all. */
export const BY_FLAGS = '--rank';

/** This process is to fork ranks `first` to `first + count - 1`. */
export interface LauncherPlace {
  kind: 'launcher';
  first: number;
  count: number;
  size: number;
  /** null: all ranks are of this machine, the launcher makes a place for them to meet. */
  address: string | null;
  via: string;
}

export type Place = { kind: 'alone' } | RankPlace | LauncherPlace;

type Env = Readonly<Record<string, string | undefined>>;

/** What one launcher's variables say. `address` is asked for where it is needed: it may be an error. */
interface Claim {
  via: string;
  rank: number;
  size: number;
  localRank: number;
  localSize: number | null;
  run: string;
  address: () => string;
}

/** Names of variables by which a process may take itself for a rank: a forked rank must not see those of its launcher. */
export const LAUNCHER_VARIABLES =
  /^((GROUP_|ROLE_|LOCAL_)?RANK|(GROUP_|ROLE_|LOCAL_)?WORLD_SIZE|ROLE_NAME|MASTER_(ADDR|PORT)|(TORCHELASTIC|PET|SLURM|OMPI|PMI|PMIX|HYDRA)_.*|PMI_.*|MPI_LOCAL.*|JOB_COMPLETION_INDEX)$/;

/**
 * Flags are believed before the environment. Of the environment's conventions those that count each process must agree; a launcher
 * of one rank counts as none.
 * @param parent this process's parent: what the ranks of one mpirun have in common where it gives its job no name
 * @throws UsageError naming the variables that are missing, are no numbers, or disagree
 */
export function findPlace(flags: PlaceFlags, env: Env, parent: number, temporary = tmpdir()): Place {
  const claim = byFlags(flags, env) ?? byEnvironment(env, parent, temporary);
  if (claim !== undefined && flags.worldSize !== null && flags.worldSize !== claim.size)
    throw new UsageError(`--world-size: found ${flags.worldSize}, but ${claim.via} has started ${claim.size} ranks.`);
  const node = flags.rank === null ? byNode(flags, env) : undefined;
  if (claim !== undefined && claim.size > 1) {
    if (node !== undefined && node.size > 1 && env.TORCHELASTIC_RUN_ID === undefined) checkNode(node, claim);
    if (flags.devices > 1)
      throw new UsageError(
        `--devices: found ${flags.devices}, expected 1: ${claim.via} has started a process for each of the ${claim.size} devices already.`,
      );
    const address = flags.address ?? claim.address();
    return { ...claim, kind: 'rank', run: env.GEMMATUNE_RUN ?? claim.run, address: checkedAddress(address) };
  }
  if (node !== undefined && node.size > 1) return node;
  if (flags.worldSize !== null && flags.worldSize > 1)
    throw new UsageError(
      `--world-size: found ${flags.worldSize}, but nothing says which of these ranks this process is; give --rank.`,
    );
  if (flags.devices === 1) return { kind: 'alone' };
  return { kind: 'launcher', first: 0, count: flags.devices, size: flags.devices, address: null, via: '--devices' };
}

function byFlags({ rank, worldSize, localRank, localSize, address }: PlaceFlags, env: Env): Claim | undefined {
  const index = env.JOB_COMPLETION_INDEX;
  const indexed = rank === null && worldSize !== null && worldSize > 1 && index !== undefined;
  if (rank === null && !indexed) return undefined;
  if (worldSize === null) throw new UsageError(`--rank is ${rank}, but --world-size is missing.`);
  const own = rank ?? integer('JOB_COMPLETION_INDEX', index!);
  const via = indexed ? 'the Indexed Job' : BY_FLAGS;
  const here = address?.startsWith('unix:') === true;
  return {
    ...checkedRank(via, own, worldSize),
    localRank: localRank ?? (here ? own : 0),
    localSize: localSize ?? (here ? worldSize : null),
    run: '',
    address: missingAddress(via),
  };
}

/** The claim of the launcher that stands nearest to this process. @throws UsageError where two of them disagree */
function byEnvironment(env: Env, parent: number, temporary: string): Claim | undefined {
  const torch = byTorch(env);
  // torchrun gives its own ranks to its children; what started torchrun counted the torchruns.
  if (torch !== undefined && env.TORCHELASTIC_RUN_ID !== undefined) return torch;
  const claims = [torch, bySlurm(env), byOpenMpi(env, parent, temporary), byPmi(env, parent, temporary)].filter(
    (claim) => claim !== undefined,
  );
  const [first, ...others] = claims.filter(({ size }) => size > 1);
  for (const other of others)
    if (other.rank !== first!.rank || other.size !== first!.size)
      throw new UsageError(
        `${first!.via} says that this is rank ${first!.rank} of ${first!.size}, and ${other.via} that it is rank ${other.rank} of ${other.size}; ` +
          'unset the variables of one of them, or give --rank, --world-size, --local-rank and --address.',
      );
  return first ?? claims[0];
}

/** torchrun's variables, which many other programs set too. */
function byTorch(env: Env): Claim | undefined {
  if (env.RANK === undefined) return undefined;
  const own = env.TORCHELASTIC_RUN_ID;
  const via = own === undefined ? 'RANK' : 'torchrun';
  const rank = variable(env, 'RANK');
  const size = variable(env, 'WORLD_SIZE', 'RANK is set');
  return {
    ...checkedRank(via, rank, size),
    localRank: env.LOCAL_RANK === undefined ? 0 : variable(env, 'LOCAL_RANK'),
    localSize: env.LOCAL_WORLD_SIZE === undefined ? null : variable(env, 'LOCAL_WORLD_SIZE'),
    run: own === undefined ? '' : `torchrun ${own} ${env.TORCHELASTIC_RESTART_COUNT ?? 0}`,
    address() {
      const host = present(env, 'MASTER_ADDR', 'RANK is set');
      const port = variable(env, 'MASTER_PORT', 'RANK is set');
      // torchrun's agent itself listens on MASTER_PORT.
      return tcp(host, env.TORCHELASTIC_USE_AGENT_STORE === 'True' ? port + 1 : port);
    },
  };
}

/** A task of a Slurm step. The shell of a batch script is none, though it has most of the variables. */
function bySlurm(env: Env): Claim | undefined {
  if (env.SLURM_STEP_ID === undefined || env.SLURM_PROCID === undefined || isBatchShell(env)) return undefined;
  const set = 'SLURM_STEP_ID is set';
  const sizeName = env.SLURM_STEP_NUM_TASKS === undefined ? 'SLURM_NTASKS' : 'SLURM_STEP_NUM_TASKS';
  const size = variable(env, sizeName, set);
  const job = variable(env, env.SLURM_JOB_ID === undefined ? 'SLURM_JOBID' : 'SLURM_JOB_ID', set);
  const nodes = env.SLURM_STEP_NODELIST ?? env.SLURM_JOB_NODELIST;
  const counts = env.SLURM_STEP_TASKS_PER_NODE ?? env.SLURM_TASKS_PER_NODE;
  return {
    ...checkedRank('Slurm', variable(env, 'SLURM_PROCID'), size),
    localRank: variable(env, 'SLURM_LOCALID', set),
    localSize: counts === undefined ? null : tasksOnNode(counts, Number(env.SLURM_NODEID ?? 0)),
    run: `Slurm ${job}.${env.SLURM_STEP_ID} ${env.SLURM_RESTART_COUNT ?? 0}`,
    address() {
      if (nodes === undefined) return missing('SLURM_STEP_NODELIST', set);
      const port = env.MASTER_PORT === undefined ? 20_000 + (job % 10_000) : variable(env, 'MASTER_PORT');
      return tcp(env.MASTER_ADDR ?? firstHost(nodes), port);
    },
  };
}

/** Slurm numbers the step of a batch script's own shell so (SLURM_BATCH_SCRIPT, 0xfffffffb), where it names it at all. */
const isBatchShell = ({ SLURM_STEP_ID: step }: Env): boolean => step === '4294967291' || step === 'batch';

function byOpenMpi(env: Env, parent: number, temporary: string): Claim | undefined {
  if (env.OMPI_COMM_WORLD_RANK === undefined) return undefined;
  const set = 'OMPI_COMM_WORLD_RANK is set';
  const size = variable(env, 'OMPI_COMM_WORLD_SIZE', set);
  const localSize = env.OMPI_COMM_WORLD_LOCAL_SIZE === undefined ? null : variable(env, 'OMPI_COMM_WORLD_LOCAL_SIZE');
  const job = env.OMPI_MCA_ess_base_jobid ?? env.PMIX_NAMESPACE ?? String(parent);
  return {
    ...checkedRank('Open MPI', variable(env, 'OMPI_COMM_WORLD_RANK'), size),
    localRank: variable(env, 'OMPI_COMM_WORLD_LOCAL_RANK', set),
    localSize,
    run: `mpirun ${job}`,
    address: mpiAddress('Open MPI', env, localSize === size, job, temporary),
  };
}

/** MPICH and its kin, by Hydra. */
function byPmi(env: Env, parent: number, temporary: string): Claim | undefined {
  if (env.PMI_RANK === undefined) return undefined;
  const set = 'PMI_RANK is set';
  const size = variable(env, 'PMI_SIZE', set);
  const localSize = env.MPI_LOCALNRANKS === undefined ? null : variable(env, 'MPI_LOCALNRANKS');
  const job = env.PMI_JOBID ?? String(parent);
  return {
    ...checkedRank('PMI', variable(env, 'PMI_RANK'), size),
    localRank: env.MPI_LOCALRANKID === undefined ? 0 : variable(env, 'MPI_LOCALRANKID'),
    localSize,
    run: `mpirun ${job}`,
    address: mpiAddress('PMI', env, localSize === size, job, temporary),
  };
}

/** MPI tells no address. On one machine its ranks meet in a folder that is named by the job. */
function mpiAddress(via: string, env: Env, oneMachine: boolean, job: string, temporary: string): () => string {
  if (env.MASTER_ADDR !== undefined)
    return () => tcp(env.MASTER_ADDR!, variable(env, 'MASTER_PORT', 'MASTER_ADDR is set'));
  if (!oneMachine) return missingAddress(via);
  return () => `unix:${join(temporary, `gemmatune-${job.replace(/[^\w.-]/g, '_')}`, 'rendezvous')}`;
}

/** Kubeflow's variables: one process a machine, which forks the ranks. */
function byNode({ devices, address }: PlaceFlags, env: Env): LauncherPlace | undefined {
  const perNode = env.PET_NPROC_PER_NODE;
  if (env.PET_NNODES === undefined && perNode === undefined) return undefined;
  const nodes = env.PET_NNODES === undefined ? 1 : integer('PET_NNODES', env.PET_NNODES.replace(/^(\d+):\1$/, '$1'));
  const node = nodes === 1 ? 0 : variable(env, 'PET_NODE_RANK', 'PET_NNODES is set');
  // `auto`, `gpu`, `cpu`: torch would count; here --devices says.
  const named = perNode !== undefined && /^\d+$/.test(perNode);
  const count = named ? variable(env, 'PET_NPROC_PER_NODE') : devices;
  if (named && devices > 1 && devices !== count)
    throw new UsageError(
      `--devices: found ${devices}, but PET_NPROC_PER_NODE is ${count}; expected them to be the same.`,
    );
  const { rank: first, size } = checkedRank('Kubeflow', node * count, nodes * count);
  const set = 'PET_NNODES is set';
  const meet = () => address ?? tcp(present(env, 'PET_MASTER_ADDR', set), variable(env, 'PET_MASTER_PORT', set));
  return {
    kind: 'launcher',
    first,
    count,
    size,
    address: nodes === 1 ? null : checkedAddress(meet()),
    via: 'Kubeflow',
  };
}

/** Another launcher inside a pod of Kubeflow's must count the same ranks. torchrun reads PET_ variables itself. */
function checkNode({ first, count, size: expected }: LauncherPlace, { via, rank, size }: Claim): void {
  if (size === expected && rank >= first && rank < first + count) return;
  throw new UsageError(
    `Kubeflow's PET_ variables say that this machine has ranks ${first} to ${first + count - 1} of ${expected}, and ${via} that this is rank ${rank} of ${size}; ` +
      'unset those of one of them.',
  );
}

function checkedRank(via: string, rank: number, size: number): { via: string; rank: number; size: number } {
  if (size < 1 || rank >= size)
    throw new UsageError(
      `${via} says that this is rank ${rank} of ${size}, expected a rank from 0 to ${Math.max(0, size - 1)}.`,
    );
  return { via, rank, size };
}

function checkedAddress(address: string): string {
  if (/^unix:\/./.test(address)) return address;
  const port = Number(/^tcp:.+:(\d{1,5})$/.exec(address)?.[1]);
  if (port >= 1 && port <= 65_535) return address;
  throw new UsageError(`--address: found '${address}', expected tcp:host:port, or unix:/path on one machine.`);
}

const tcp = (host: string, port: number): string => `tcp:${host}:${port}`;

const missingAddress = (via: string) => (): never => {
  throw new UsageError(
    `${via} does not say where the ranks meet; give --address tcp:host:port, the host of rank 0 and a port that is free there.`,
  );
};

function missing(name: string, because: string): never {
  throw new UsageError(
    `${because}, but ${name} is not; set it, or give --rank, --world-size, --local-rank and --address.`,
  );
}

function present(env: Env, name: string, because: string): string {
  return env[name] || missing(name, because);
}

function variable(env: Env, name: string, because = ''): number {
  return integer(name, present(env, name, because));
}

function integer(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`${name}: found '${text}', expected a whole number.`);
  return Number(text);
}
