/**
 * A run of `finetune` as one trial of a sweep: what decides its result has a hash, and the output folder remembers it. Called again, the
 * same trial goes on where it was, or gives its result if it has one.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { InputError, readJsonIfThere, reasonOf, writeWhole } from '@gemmatune/base';
import { occupants, type RowSettings } from '@gemmatune/train';

/** What decides a result, by name. */
export type TrialParts = Readonly<Record<string, string | number | boolean | null>>;

export interface Trial {
  /** sha256 of the parts, in hex. */
  trial: string;
  /** What was given: null where an option was left to the number of rows, which are not read yet. */
  made_of: TrialParts;
  /** Of a finished trial: what their number decided. */
  by_rows?: Partial<RowSettings>;
}

const TRIAL_FILE = 'trial.json';
const RESULT_FILE = 'result.json';

export function trialOf(parts: TrialParts): Trial {
  const made_of = Object.fromEntries(Object.entries(parts).sort(([a], [b]) => (a < b ? -1 : 1)));
  return { trial: createHash('sha256').update(JSON.stringify(made_of)).digest('hex'), made_of };
}

/**
 * `fresh`: nothing of it is there yet. `begun`: goes on from its newest checkpoint, or begins again. `other`: the folder holds work of
 * another trial, which this one would write over.
 */
export type Course =
  | { course: 'fresh' }
  | { course: 'begun' }
  | { course: 'finished'; result: Record<string, unknown> }
  | { course: 'other'; difference: string };

/** What is to be done about a trial in a folder that may hold one. */
export async function courseOf(folder: string, { trial, made_of }: Trial): Promise<Course> {
  const there = (await readTrialJson(join(folder, TRIAL_FILE))) as Trial | undefined;
  if (there === undefined) return { course: 'fresh' };
  if (there.trial !== trial) {
    if ((await occupants(folder)).length === 0) return { course: 'fresh' };
    return { course: 'other', difference: firstDifference(there.made_of, made_of) };
  }
  const result = (await readTrialJson(join(folder, RESULT_FILE))) as Record<string, unknown> | undefined;
  if (result?.trial === trial && existsSync(join(folder, 'model.safetensors'))) return { course: 'finished', result };
  return { course: 'begun' };
}

function firstDifference(then: TrialParts, now: TrialParts): string {
  const names = [...new Set([...Object.keys(now), ...Object.keys(then)])];
  const name = names.find((each) => then[each] !== now[each])!;
  const shown = (parts: TrialParts) => (Object.hasOwn(parts, name) ? JSON.stringify(parts[name]) : 'not there');
  return `${name} was ${shown(then)}, and now it is ${shown(now)}`;
}

export async function writeTrial(folder: string, trial: Trial): Promise<void> {
  await writeWhole(join(folder, TRIAL_FILE), (put) => put(`${JSON.stringify(trial, null, 2)}\n`));
}

/** Last of all that a run writes: from then on it is finished. */
export async function writeResult(folder: string, result: object): Promise<void> {
  await writeWhole(join(folder, RESULT_FILE), (put) => put(`${JSON.stringify(result)}\n`));
}

const readTrialJson = (path: string) =>
  readJsonIfThere(
    path,
    (what) => new InputError(`${path}: ${what}, expected what finetune wrote; remove it to begin anew.`),
  );

/** @throws InputError naming the file where it cannot be read */
export async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  } catch (error) {
    throw new InputError(`${path}: ${reasonOf(error)}, expected a file.`, { cause: error });
  }
  return hash.digest('hex');
}

/** The content of several files, in their order; their names do not count. */
export async function sha256Of(paths: readonly string[]): Promise<string> {
  const hashes: string[] = [];
  for (const path of paths) hashes.push(await sha256(path));
  return hashes.length === 1 ? hashes[0]! : createHash('sha256').update(hashes.join('\n')).digest('hex');
}

/** What of a model folder decides how it computes and how rows are encoded. */
const MODEL_FILES =
  /^(config|generation_config|tokenizer|tokenizer_config|.*\.index)\.json$|\.safetensors$|^tokenizer\.|^chat_template/;

/** A base model: its repository and commit where it lies in the Hub's cache, else the sha256 of its files. */
export async function modelIdentity(folder: string): Promise<string> {
  const commit = basename(folder);
  const repository = basename(dirname(dirname(folder)));
  if (/^[0-9a-f]{40}$/.test(commit) && repository.startsWith('models--'))
    return `${repository.slice('models--'.length).replaceAll('--', '/')}@${commit}`;
  const names = (await readdir(folder)).filter((name) => MODEL_FILES.test(name)).sort();
  const hash = createHash('sha256');
  for (const name of names) hash.update(`${name} ${await sha256(join(folder, name))}\n`);
  return hash.digest('hex');
}
