import { basename, join, resolve } from 'node:path';
import { InputError, readJsonIfThere, writeWhole } from '@gemmatune/base';
import { METRICS } from '@gemmatune/eval';
import type { CardMetrics, ModelCard } from '@gemmatune/hub';
import type { KeptScores } from './evaluate.js';
import { ratio } from './report/numbers.js';

const FILE = 'gemmatune.json';

/** What a fine-tuned model folder remembers of how it came about: the report and the model card are written from it. */
export interface RunRecord {
  base_model: string;
  dataset: string;
  train_rows: number;
  eval_rows: number;
  settings: Record<string, string | number | boolean | null>;
  /** CardMetrics on the same rows before and after training, and what they were measured on. */
  before?: KeptScores;
  after?: KeptScores;
  evaluation?: string;
}

export async function writeRunRecord(folder: string, record: RunRecord): Promise<void> {
  await writeWhole(join(folder, FILE), (put) => put(`${JSON.stringify(record, null, 2)}\n`));
}

/** The record of a folder, or undefined where `finetune` did not write it. */
export async function readRunRecord(folder: string): Promise<RunRecord | undefined> {
  const path = join(folder, FILE);
  const refuse = (what: string) => new InputError(`${path}: ${what}, expected what finetune wrote.`);
  return (await readJsonIfThere(path, refuse)) as RunRecord | undefined;
}

/** The facts of a record as the Hub's model card has them. Places on this machine are told by their last name alone. */
export function cardOf(name: string, record: RunRecord): ModelCard {
  const { base_model, dataset, train_rows, eval_rows, settings, before, after, evaluation } = record;
  return {
    name,
    baseModel: publicName(base_model),
    dataset: publicName(dataset),
    trainRows: train_rows,
    evalRows: eval_rows,
    settings,
    ...(before && { before: inWords(before) }),
    ...(after && { after: inWords(after) }),
    ...(evaluation && { evaluation }),
  };
}

/** Each metric in percent, and of how many. */
const inWords = (scores: KeptScores): CardMetrics =>
  Object.fromEntries(METRICS.map(({ name }) => [name, ratio(scores[name], scores.counts?.[name])]));

/** A Hub id as it is, a path by its last part. */
export function publicName(spec: string): string {
  return /^[\w.-]+\/[\w.-]+(@[\w./-]+)?$/.test(spec) && !/^\.{1,2}\//.test(spec) ? spec : basename(resolve(spec));
}
