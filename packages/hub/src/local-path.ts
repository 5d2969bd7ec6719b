import type { Stats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { isMissing, nearestName, reasonOf } from '@gemmatune/base';
import { HubError, type HubErrorCode } from './errors.js';
import { idAndRevision, isHubId } from './repo.js';

/** What a spec is to name, with what it may be instead of a place on this machine. */
const ELSEWHERE = {
  'model folder': 'organisation/name on the Hugging Face Hub or kaggle:owner/model/framework/variation',
  'data file': 'organisation/name on the Hugging Face Hub',
};
export type Sought = keyof typeof ELSEWHERE;

/** The Hub lacks what was asked for, or could not be asked. */
const ABSENT = new Set<HubErrorCode>([
  'ERR_GEMMATUNE_HUB_NOT_FOUND',
  'ERR_GEMMATUNE_HUB_NETWORK',
  'ERR_GEMMATUNE_HUB_OFFLINE',
]);

/**
 * What lies at `spec` on this machine; undefined where nothing does and the Hub is to be asked.
 * @throws HubError where nothing does and it can be no id either
 */
export async function findHere(spec: string, sought: Sought): Promise<Stats | undefined> {
  const found = await stat(spec).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    const text = `The ${sought} ${resolve(spec)} cannot be read: ${reasonOf(error)}.`;
    throw new HubError('ERR_GEMMATUNE_HUB_ARGUMENT', text, { cause: error });
  });
  const isDataFile = sought === 'data file' && /\.(parquet|jsonl|json|ndjson)$/i.test(spec);
  if (found || (isHubId(idAndRevision(spec).id) && !isDataFile)) return found;
  // Two letters and more: a single one is a drive.
  if (spec === '' || /^[A-Za-z][\w+.-]+:/.test(spec)) {
    const text = `${JSON.stringify(spec)} names no ${sought}: expected a path on this machine, or ${ELSEWHERE[sought]}.`;
    throw new HubError('ERR_GEMMATUNE_HUB_ARGUMENT', text);
  }
  throw await noSuchPath(spec, sought);
}

/** What the Hub gives for `spec`. Where it has none, the error names what lies here under nearly that name. */
export async function orNearHere<T>(spec: string, sought: Sought, asked: Promise<T>): Promise<T> {
  return asked.catch(async (error: unknown) => {
    if (!(error instanceof HubError && ABSENT.has(error.code))) throw error;
    const place = dirname(resolve(spec));
    const near = nearestName(basename(spec), (await namesIn(place, sought)) ?? []);
    if (near === undefined) throw error;
    const text = `${error.message.replace(/\.$/, '')}; or is ${join(place, near)} meant?`;
    throw new HubError(error.code, text, { cause: error });
  });
}

async function noSuchPath(spec: string, sought: Sought): Promise<HubError> {
  let place = resolve(spec);
  let missing: string;
  let names: string[] | undefined;
  do {
    missing = basename(place);
    place = dirname(place);
    names = await namesIn(place, sought);
  } while (names === undefined && place !== dirname(place));
  const others = (names ?? []).filter((name) => name !== missing); // a link to nothing has the very name
  const near = nearestName(missing, others);
  const hint =
    near === undefined
      ? `${place} holds ${others.slice(0, 5).join(', ') || 'none'}.`
      : `did you mean ${join(place, near)}?`;
  return new HubError('ERR_GEMMATUNE_HUB_NOT_FOUND', `There is no ${sought} ${resolve(spec)}: ${hint}`);
}

/** What a folder holds that may be meant, sorted; undefined where there is no such folder. Links may lead to folders. */
async function namesIn(folder: string, sought: Sought): Promise<string[] | undefined> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => undefined);
  return entries
    ?.filter((entry) => !entry.name.startsWith('.') && !(sought === 'model folder' && entry.isFile()))
    .map(({ name }) => name)
    .sort();
}
