import { join, resolve } from 'node:path';
import { listFolder } from './cache.js';
import { HubError } from './errors.js';
import { findHere, orNearHere } from './local-path.js';
import { type PullOptions, pullFiles } from './pull.js';
import { idAndRevision, isHubId } from './repo.js';

export interface DatasetOptions extends Omit<PullOptions, 'repoType' | 'allow' | 'ignore'> {
  /** Default `train`. */
  split?: string | undefined;
  /** The folder inside the repository, where several hold a data set of their own. */
  config?: string | undefined;
}

/** In order of preference: Parquet is typed and smallest. */
const FORMATS = ['parquet', 'jsonl', 'json'] as const;
const SPLIT_WORDS = new Map([
  ['train', ['train', 'training']],
  ['validation', ['validation', 'valid', 'val', 'dev']],
  ['test', ['test', 'testing', 'eval', 'evaluation']],
]);

/**
 * Brings the data files of one split of a Hub data set into the cache.
 *
 * @returns absolute paths of the files, in the order of their rows
 */
export async function pullDataset(id: string, options: DatasetOptions = {}): Promise<string[]> {
  const { folder, paths } = await pullFiles(id, { ...options, repoType: 'dataset' }, (names) =>
    splitFiles(names, id, options),
  );
  return paths.map((path) => join(folder, path));
}

/**
 * Rows from wherever they are: a file, a folder laid out like a Hub data set, or a Hub id with `@revision` behind it if
 * wanted. What lies on this machine goes before the Hub.
 *
 * @returns absolute paths of the split's files (`.parquet`, `.jsonl`, `.json`), in the order of their rows
 * @throws HubError
 */
export async function resolveDataset(spec: string, options: DatasetOptions = {}): Promise<string[]> {
  const found = await findHere(spec, 'data file');
  const path = resolve(spec);
  if (found?.isFile()) return [path];
  if (found?.isDirectory()) return splitFiles(await listFolder(path), path, options).map((name) => join(path, name));
  if (found)
    throw new HubError('ERR_GEMMATUNE_HUB_ARGUMENT', `${path} is a pipe or device: expected rows in a file or folder.`);
  const { id, ...revision } = idAndRevision(spec);
  return orNearHere(spec, 'data file', pullDataset(id, { ...options, ...revision }));
}

/**
 * The files of a split among a data set's files, by the naming rules of Python's `datasets`: the split's word stands in
 * the path between separators (`data/train-00000-of-00002.parquet`, `train.jsonl`, `train/0.parquet`); where no file
 * names any split, all files are `train`.
 */
export function splitFiles(names: string[], where: string, { split = 'train', config }: DatasetOptions): string[] {
  const inConfig = names.filter((name) => config === undefined || name.startsWith(`${config.replace(/\/+$/, '')}/`));
  const format = FORMATS.find((extension) => inConfig.some((name) => isData(name, extension)));
  if (!format) {
    const found = names.slice(0, 5).join(', ') || 'nothing';
    const hint = isHubId(where) ? `: ${where}@refs/convert/parquet often has them` : '';
    throw new HubError(
      'ERR_GEMMATUNE_HUB_NOT_FOUND',
      `${where}${config ? ` in ${config}` : ''} has no .parquet, .jsonl or .json data files (found ${found})${hint}.`,
    );
  }
  const data = inConfig.filter((name) => isData(name, format)).sort();
  const named = data.filter((name) => [...SPLIT_WORDS.values()].some((words) => mentions(name, words)));
  const wanted = SPLIT_WORDS.get(split) ?? [split];
  const chosen = named.length === 0 && split === 'train' ? data : data.filter((name) => mentions(name, wanted));
  if (chosen.length === 0) {
    throw new HubError(
      'ERR_GEMMATUNE_HUB_NOT_FOUND',
      `${where} has no split ${JSON.stringify(split)}: its data files are ${data.slice(0, 8).join(', ')}.`,
    );
  }
  const folders = [...new Set(chosen.map((name) => name.slice(0, Math.max(0, name.lastIndexOf('/')))))];
  if (folders.length > 1) {
    throw new HubError(
      'ERR_GEMMATUNE_HUB_ARGUMENT',
      `${where} has split ${JSON.stringify(split)} in ${folders.length} folders (${folders.map((folder) => folder || '.').join(', ')}): choose one with the config option.`,
    );
  }
  return chosen;
}

/** Data, and not a description such as `dataset_infos.json` or a hidden file. */
function isData(name: string, extension: string): boolean {
  const base = name.slice(name.lastIndexOf('/') + 1);
  return (
    name.endsWith(`.${extension}`) && !/(^|\/)\./.test(name) && !/^(dataset_infos?|config|state)\.json$/.test(base)
  );
}

function mentions(name: string, words: string[]): boolean {
  return words.some((word) =>
    new RegExp(`(^|[/._ -])${word.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}([/._ -]|$)`).test(name),
  );
}
