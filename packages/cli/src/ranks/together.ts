/** Being one rank of several: joining, doing things once or in turn, leaving. `null` in place of a group is a process alone. */
import { lstat, mkdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { Writable } from 'node:stream';
import { countDevices, type DeviceSpec, Group, parseDevice } from '@gemmatune/engine';
import type { Context } from '../command.js';
import { explanation } from '../exit-status.js';
import { UsageError } from '../options.js';
import { BY_FLAGS, type RankPlace } from './place.js';

/**
 * Runs `body` as the rank that `place` says. Ranks other than 0 say nothing but their error, under their own name. An error of this rank
 * reaches the others as its reason to go.
 * @throws EngineError ERR_GEMMATUNE_RANK where another rank is lost; what `body` throws
 */
export async function asRank(
  place: RankPlace,
  { joinTimeout, rankTimeout }: { joinTimeout: number; rankTimeout: number },
  context: Context,
  body: (group: Group, own: Context) => Promise<number>,
): Promise<number> {
  const { rank, size, address, run } = place;
  if (rank > 0) context.label(`(rank ${rank})`);
  const own = rank === 0 ? context : silent(context);
  const folder = address.startsWith('unix:') ? dirname(address.slice('unix:'.length)) : null;
  if (folder !== null) await ownFolder(folder);
  try {
    const group = await Group.join({ rank, size, address, run, joinTimeout, rankTimeout }, context.signal);
    try {
      const status = await body(group, own);
      group.leave();
      return status;
    } catch (error) {
      group.leave(explanation(error, false));
      // Ranks are told to stop together, and the first that does takes the others out of their wait.
      const lost = (error as NodeJS.ErrnoException).code === 'ERR_GEMMATUNE_RANK';
      throw lost && context.signal.aborted ? context.signal.reason : error;
    }
  } finally {
    // A folder that --address names is another's; one named after a job of MPI is of these ranks.
    if (folder !== null && rank === 0 && place.via !== BY_FLAGS) await rm(folder, { recursive: true, force: true });
  }
}

function silent(context: Context): Context {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  return { ...context, stdout: nowhere, stderr: nowhere, note() {}, async print() {} };
}

/** Makes the folder of a socket, which only this user may enter: whoever can reach the socket could pass for a rank. */
async function ownFolder(folder: string): Promise<void> {
  await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const found = await lstat(folder);
  if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & 0o077) !== 0)
    throw new UsageError(
      `${folder}: the ranks are to meet in a folder that only this user may enter (mode 700), and it is none; remove it, or give --address with another.`,
    );
}

/** What ranks need to tell each other something; a Group is one. */
export type Ranks = Pick<Group, 'rank' | 'size' | 'gather'>;

/** Every rank's value, by rank. All ranks call with the same `what`. */
export async function gatherJson<T>(group: Ranks | null, what: string, mine: T): Promise<T[]> {
  if (group === null) return [mine];
  const all = await group.gather(what, Buffer.from(JSON.stringify(mine)));
  return all.map((bytes) => JSON.parse(Buffer.from(bytes).toString()) as T);
}

/** What rank 0 makes, on every rank; it must survive JSON. */
export async function byRankZero<T>(group: Ranks | null, what: string, work: () => Promise<T>): Promise<T> {
  const mine = group === null || group.rank === 0 ? await work() : null;
  return (await gatherJson(group, what, mine))[0]!;
}

/** Runs `work` on the first rank of each machine, and when these are done on the others, which find what it left there. */
export async function machineByMachine<T>(
  group: Ranks | null,
  place: RankPlace | null,
  what: string,
  work: (again: boolean) => Promise<T>,
): Promise<T> {
  const first = place === null || place.localRank === 0;
  const result = first ? await work(false) : undefined;
  await gatherJson(group, what, null);
  return first ? result! : work(true);
}

/** The device of a rank: where only a kind is named, the one with the rank's number on its machine. */
export function deviceOf(spec: DeviceSpec, { localRank, via }: RankPlace): DeviceSpec {
  if (spec !== 'cuda' && spec !== 'emulated') return spec;
  // Slurm and MPI may show each rank its own device alone; the program's own launcher shows all of them to all.
  const single = spec === 'emulated' || via !== BY_FLAGS ? countDevices(spec) === 1 : false;
  return single ? `${spec}:0` : `${spec}:${localRank}`;
}

/** CPU threads of a rank, where `given` is 0: its share of the cores. */
export function threadsOf(given: number, { localSize }: RankPlace): number {
  return given > 0 ? given : Math.max(1, Math.floor(availableParallelism() / (localSize ?? 1)));
}

/** `2 ranks on emulated, gloo 0.5.0, 32 rows an update (2 devices x 2 rows x 8)` */
export function ranksText(
  { size }: Pick<Group, 'size'>,
  device: DeviceSpec,
  collectives: string,
  {
    perDeviceTrainBatchSize: rows,
    gradientAccumulationSteps: steps,
  }: { perDeviceTrainBatchSize: number; gradientAccumulationSteps: number },
): string {
  return `${size} ranks on ${parseDevice(device)!.device}, ${collectives}, ${size * rows * steps} rows an update (${size} devices x ${rows} rows x ${steps})`;
}
