import { constants } from 'node:fs';
import { access, copyFile, mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { readJsonFile, reasonOf, writeWhole } from '@gemmatune/base';
import type { Model } from '@gemmatune/engine';
import { TrainError } from './errors.js';

/** What of a model a checkpoint needs. */
export type SavableModel = Pick<Model, 'save' | 'saveState'>;

const RESUME_FILE = 'resume.json';
const TRAINER_STATE_FILE = 'trainer_state.json';

export interface Checkpoint {
  step: number;
  folder: string;
}

export function checkpointFolder(outputDir: string, step: number): string {
  return join(outputDir, `checkpoint-${step}`);
}

/** What the system means where a folder was to be made. */
const IN_THE_WAY = {
  ENOTDIR: 'a file is in the way where a folder is expected',
  EEXIST: 'a file is in the way where a folder is expected',
};

/** Folders under these names are unfinished work: being written, or being removed. */
const UNFINISHED = /^\.checkpoint-\d+\.(writing|removing)$/;
const unfinishedFolder = (outputDir: string, step: number, what: 'writing' | 'removing') =>
  join(outputDir, `.checkpoint-${step}.${what}`);

/**
 * Makes `outputDir` ready to be written to and clears away what a killed process left half done.
 * @throws TrainError ERR_GEMMATUNE_FILE where it cannot be made or written to, before any training is lost by that.
 */
export async function prepareOutput(outputDir: string): Promise<void> {
  try {
    await makeFolder(outputDir);
    await access(outputDir, constants.W_OK);
    for (const name of await readdir(outputDir)) {
      if (UNFINISHED.test(name)) await rm(join(outputDir, name), { recursive: true, force: true });
    }
  } catch (cause) {
    throw new TrainError(
      'ERR_GEMMATUNE_FILE',
      `The output folder ${outputDir} cannot be written to: ${reasonOf(cause, IN_THE_WAY)}.`,
      { cause },
    );
  }
}

/**
 * Makes a folder and those above it that are not there yet. Node's own `recursive` never ends on a file system that answers "no
 * such folder" where the one above is there, as /proc does.
 */
async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && dirname(folder) !== folder) {
      await makeFolder(dirname(folder));
      await mkdir(folder).catch((cause: NodeJS.ErrnoException) => {
        throw cause.code === 'ENOENT' ? new Error(`${dirname(folder)} takes no new folder`, { cause }) : cause;
      });
    } else if (code !== 'EEXIST' || !(await stat(folder)).isDirectory()) throw error;
  }
}

/**
 * Names in `outputDir` that a fresh run would write over: a model, or checkpoints. None where there is no such folder yet.
 * @throws TrainError ERR_GEMMATUNE_FILE where it cannot be looked into
 */
export async function occupants(outputDir: string): Promise<string[]> {
  const names = await readdir(outputDir).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return [];
    throw new TrainError(
      'ERR_GEMMATUNE_FILE',
      `The output folder ${outputDir} cannot be used: ${reasonOf(cause, IN_THE_WAY)}.`,
      {
        cause,
      },
    );
  });
  return names.filter((name) => /^checkpoint-\d+$/.test(name) || name.endsWith('.safetensors')).sort();
}

/** @throws TrainError ERR_GEMMATUNE_ARGUMENT where a fresh run would write over what `outputDir` holds */
export async function refuseOccupied(outputDir: string): Promise<void> {
  const [occupant] = await occupants(outputDir);
  if (occupant === undefined) return;
  throw new TrainError(
    'ERR_GEMMATUNE_ARGUMENT',
    `The output folder ${outputDir} already holds ${occupant}; choose another folder, or set \`overwrite\` to replace it or \`resume\` to continue.`,
  );
}

/** All folders checkpoint-<step>, oldest first, complete or not. */
export async function listCheckpoints(outputDir: string): Promise<Checkpoint[]> {
  const names = await readdir(outputDir);
  return names
    .flatMap((name) => /^checkpoint-(\d+)$/.exec(name)?.[1] ?? [])
    .map((step) => ({ step: Number(step), folder: join(outputDir, `checkpoint-${step}`) }))
    .sort((a, b) => a.step - b.step);
}

/**
 * Writes checkpoint-<step>: the model as a Hugging Face folder, the exact state, trainer_state.json, `companions` (tokenizer files)
 * and, last, resume.json with the size of every other file. All of it goes to a hidden folder, is flushed to the disk, and then
 * renamed: a checkpoint is there completely or not at all.
 * @throws TrainError ERR_GEMMATUNE_FILE; earlier checkpoints are untouched then.
 */
export async function saveCheckpoint(
  model: SavableModel,
  outputDir: string,
  step: number,
  content: { trainerState: string; resume: Record<string, unknown>; companions: readonly string[] },
): Promise<string> {
  const folder = checkpointFolder(outputDir, step);
  const writing = unfinishedFolder(outputDir, step, 'writing');
  try {
    await rm(writing, { recursive: true, force: true });
    await mkdir(writing);
    await model.save(writing);
    await model.saveState(writing);
    await writeFile(join(writing, TRAINER_STATE_FILE), content.trainerState);
    await copyCompanions(content.companions, writing);
    const files = await fileSizes(writing);
    await writeFile(join(writing, RESUME_FILE), `${JSON.stringify({ ...content.resume, files }, null, 2)}\n`);
    for (const name of await readdir(writing)) await flush(join(writing, name));
    await removeCheckpoint({ step, folder });
    await rename(writing, folder);
    await flush(outputDir);
    return folder;
  } catch (cause) {
    await rm(writing, { recursive: true, force: true }).catch(() => {});
    throw new TrainError(
      'ERR_GEMMATUNE_FILE',
      `Checkpoint ${step} could not be written to ${folder}: ${reasonOf(cause, IN_THE_WAY)}; ${await whatIsLeft(outputDir)}.`,
      { cause },
    );
  }
}

/** Writes the trained model into `outputDir` itself. Each file replaces an old one only when it is complete. */
export async function saveFinal(
  model: SavableModel,
  outputDir: string,
  trainerState: string,
  companions: readonly string[],
): Promise<void> {
  try {
    await model.save(outputDir);
    await copyCompanions(companions, outputDir);
    await writeWhole(join(outputDir, TRAINER_STATE_FILE), (put) => put(trainerState));
  } catch (cause) {
    throw new TrainError(
      'ERR_GEMMATUNE_FILE',
      `The trained model could not be written to ${outputDir}: ${reasonOf(cause, IN_THE_WAY)}; ${await whatIsLeft(outputDir)}.`,
      { cause },
    );
  }
}

/** Removes the oldest checkpoints beyond `limit`; the newest and the best always stay (transformers' rotate_checkpoints). */
export async function rotateCheckpoints(
  outputDir: string,
  limit: number | null,
  bestStep: number | null,
): Promise<void> {
  if (limit === null) return;
  const checkpoints = await listCheckpoints(outputDir);
  const newest = checkpoints.at(-1)?.step;
  const removable = checkpoints.filter(({ step }) => step !== newest && step !== bestStep);
  const keep = Math.max(limit, checkpoints.length - removable.length);
  for (const checkpoint of removable.slice(0, Math.max(0, checkpoints.length - keep)))
    await removeCheckpoint(checkpoint);
}

/** Renames first: a process killed while deleting leaves no half checkpoint under the real name. */
export async function removeCheckpoint({ step, folder }: Checkpoint): Promise<void> {
  const removing = unfinishedFolder(join(folder, '..'), step, 'removing');
  try {
    await rename(folder, removing);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  await rm(removing, { recursive: true, force: true });
}

/**
 * The parsed resume.json and trainer_state.json of a checkpoint.
 * @throws TrainError ERR_GEMMATUNE_RESUME naming what is missing, truncated or unreadable.
 */
export async function readCheckpoint(
  folder: string,
): Promise<{ resume: Record<string, unknown>; trainerState: Record<string, unknown> }> {
  const resume = await readObject(join(folder, RESUME_FILE));
  const trainerState = await readObject(join(folder, TRAINER_STATE_FILE));
  for (const [name, expected] of Object.entries((resume.files ?? {}) as Record<string, number>)) {
    const found = await stat(join(folder, name)).then(
      ({ size }) => size,
      () => undefined,
    );
    if (found === expected) continue;
    const state = found === undefined ? 'is missing' : `has ${found} bytes instead of ${expected}`;
    throw new TrainError('ERR_GEMMATUNE_RESUME', `Checkpoint ${folder} is not complete: ${name} ${state}.`);
  }
  return { resume, trainerState };
}

async function readObject(path: string): Promise<Record<string, unknown>> {
  const refuse = (what: string, cause?: unknown) =>
    new TrainError('ERR_GEMMATUNE_RESUME', `${path} cannot be resumed from: ${what}.`, { cause });
  const value = await readJsonFile(path, refuse);
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
  throw refuse('it is not a JSON object');
}

async function copyCompanions(companions: readonly string[], folder: string): Promise<void> {
  for (const path of companions) {
    const target = join(folder, basename(path));
    if (path !== target) await copyFile(path, target);
  }
}

async function fileSizes(folder: string): Promise<Record<string, number>> {
  const sizes: Record<string, number> = {};
  for (const name of (await readdir(folder)).sort()) sizes[name] = (await stat(join(folder, name))).size;
  return sizes;
}

async function flush(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function whatIsLeft(outputDir: string): Promise<string> {
  const newest = await listCheckpoints(outputDir).then(
    (checkpoints) => checkpoints.at(-1),
    () => undefined,
  );
  if (newest === undefined) return 'there is no earlier checkpoint to continue from';
  return `earlier checkpoints are untouched, so put that right and continue from ${newest.folder} with resume`;
}
