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
import { publicName } from './record.js';

/** What decides a result, by name. */
export type TrialParts = Readonly<Record<string, string | number | boolean | null>>;

export interface Trial {
  /** sha256 of the parts, in hex. */
  trial: string;
  /** What was given: null where an option was left to the number of rows, which are not read yet. */
  made_of: TrialParts;
  /** What those files are called whose content is a part. */
  names: Readonly<Record<string, string | null>>;
  /** Of a finished trial: what their number decided. */
  by_rows?: Partial<RowSettings>;
}

const TRIAL_FILE = 'trial.json';
const RESULT_FILE = 'result.json';

/** @param names of the files among the parts, as they are given; the name alone is kept */
export function trialOf(names: Readonly<Record<string, string | null>>, parts: TrialParts): Trial {
  const made_of = Object.fromEntries(Object.entries(parts).sort(([a], [b]) => (a < b ? -1 : 1)));
  const known = Object.entries(names).map(([part, name]) => [part, name === null ? null : publicName(name)]);
  const trial = createHash('sha256').update(JSON.stringify(made_of)).digest('hex');
  return { trial, made_of, names: Object.fromEntries(known) };
}

/**
 * `fresh`: nothing of it is there yet. `begun`: goes on from its newest checkpoint, or begins again. `other`: the folder holds work of
 * another trial, which this one would write over.
 */
export type Course =
  | { course: 'fresh' }
  | { course: 'begun' }
  | { course: 'finished'; result: Record<string, unknown> }
  | { course: 'other'; differences: string[] };

/** What is to be done about a trial in a folder that may hold one. */
export async function courseOf(folder: string, now: Trial): Promise<Course> {
  const { trial } = now;
  const there = (await readTrialJson(join(folder, TRIAL_FILE))) as Trial | undefined;
  if (there === undefined) return { course: 'fresh' };
  if (there.trial !== trial) {
    if ((await occupants(folder)).length === 0) return { course: 'fresh' };
    return { course: 'other', differences: differences(there, now) };
  }
  const result = (await readTrialJson(join(folder, RESULT_FILE))) as Record<string, unknown> | undefined;
  if (result?.trial === trial && existsSync(join(folder, 'model.safetensors'))) return { course: 'finished', result };
  return { course: 'begun' };
}

/** Every part in which two trials differ, in words. */
function differences(then: Trial, now: Trial): string[] {
  const parts = [...new Set([...Object.keys(now.made_of), ...Object.keys(then.made_of)])];
  return parts
    .filter((part) => then.made_of[part] !== now.made_of[part])
    .map((part) => {
      const [before, after] = [shownPart(then, part), shownPart(now, part)];
      return before === after
        ? `${part} (${after}) has other content`
        : `${part} was ${before}, and now it is ${after}`;
    });
}

/** A file by its name, anything else by its value. */
function shownPart({ made_of, names = {} }: Trial, part: string): string {
  if (!Object.hasOwn(made_of, part)) return 'not there';
  return made_of[part] === null ? 'none' : (names[part] ?? JSON.stringify(made_of[part]));
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
