/** Being one rank of several: joining, leaving, and what of the machine is this rank's. */
import { lstat, mkdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { Writable } from 'node:stream';
import { countDevices, type DeviceSpec, Group } from '@gemmatune/engine';
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
