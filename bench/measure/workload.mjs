// What is trained on: rows of token ids. By default their lengths are those of 446 function-calling rows (workload.json) and their ids are
// drawn; speed depends on lengths alone. Real rows come from a file of ids, or from a data set and a tokenizer.
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readFile, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { encodeRow, IGNORE, prepare } from '@gemmatune/data';
import { Tokenizer } from '@gemmatune/tokenizer';
import { CACHE } from './model.mjs';

/** @typedef {{ inputIds: Int32Array, labels: Int32Array }} Row labels[i] is inputIds[i] where it is learnt, else -100 */
/** @typedef {'full' | 'completion'} Loss */

/** @type {readonly Loss[]} */
export const LOSSES = ['full', 'completion'];

/** Real rows longer than this are left out, so that every program trains on the same tokens. */
const MAX_LENGTH = 512;

/** The lengths of workload.json: tokens, and tokens of the answer at the end. */
export async function workloadLengths() {
  const text = await readFile(new URL('../workload.json', import.meta.url), 'utf8');
  return JSON.parse(text).rows.map(([tokens, answer]) => ({ tokens, answer }));
}

/**
 * Rows of workload.json's lengths. Ids are log-uniform, so some are frequent as in a language and a few steps lower the loss; they are a
 * pure function of the row's number and the vocabulary. Answers come last; what a small model has no positions for is cut off the prompt.
 * @param {{ loss: Loss, vocabSize: number, maxTokens?: number }} options
 * @returns {Promise<Row[]>}
 */
export async function workloadRows({ loss, vocabSize, maxTokens = MAX_LENGTH }) {
  return (await workloadLengths()).map(({ tokens: whole, answer }, row) => {
    const tokens = Math.min(whole, maxTokens);
    const next = random(row);
    const inputIds = Int32Array.from(
      { length: tokens },
      () => FIRST_ID + Math.floor((vocabSize - FIRST_ID) ** next()) - 1,
    );
    inputIds[0] = BOS;
    const labels = inputIds.slice();
    if (loss === 'completion') labels.fill(IGNORE, 0, Math.max(1, tokens - answer));
    return { inputIds, labels };
  });
}
const BOS = 2;
/** Ids below are special tokens. */
const FIRST_ID = 4;

/** mulberry32: numbers of [0, 1). @param {number} seed */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @param {string} path lines of {input_ids, labels} @returns {Promise<Row[]>} */
export async function readRows(path) {
  const rows = [];
  for await (const line of createInterface({ input: createReadStream(path) })) {
    const { input_ids, labels } = JSON.parse(line);
    if (input_ids.length !== labels.length)
      throw new Error(
        `${path}:${rows.length + 1}: ${input_ids.length} input_ids but ${labels.length} labels; expected as many`,
      );
    rows.push({ inputIds: Int32Array.from(input_ids), labels: Int32Array.from(labels) });
  }
  if (rows.length === 0) throw new Error(`${path} holds no rows; expected lines of {input_ids, labels}`);
  return rows;
}

/**
 * Real function-calling rows: a data set's training rows in FunctionGemma's own format.
 * @param {string} dataset
 * @param {string} tokenizerFolder
 * @param {Loss} loss
 */
async function datasetRows(dataset, tokenizerFolder, loss) {
  const tokenizer = await Tokenizer.load(tokenizerFolder);
  const { train } = await prepare(dataset);
  const rows = train.map(({ json }) => encodeRow(JSON.parse(json), { tokenizer, loss, format: 'native' }, dataset));
  return rows.filter(({ inputIds }) => inputIds.length <= MAX_LENGTH);
}

/** Options of suites that need rows. */
export const ROW_OPTIONS = {
  rows: { default: '', help: 'Rows as lines of {input_ids, labels}; their labels are the loss.' },
  dataset: { default: '', help: 'Rows of a data set instead; needs --tokenizer.' },
  tokenizer: { default: '', help: 'Folder or file of the tokenizer for --dataset.' },
};

/**
 * One file that every program of a measurement reads.
 * @param {{ rows?: string, dataset?: string, tokenizer?: string }} source as ROW_OPTIONS has them; nothing: workload.json
 * @param {{ loss: Loss, config: import('@gemmatune/engine').ModelConfig }} options
 * @returns {Promise<string>} a file with lines of {input_ids, labels}
 */
export async function rowsFile({ rows = '', dataset = '', tokenizer = '' }, { loss, config }) {
  if (rows !== '') return rows;
  if ((dataset === '') !== (tokenizer === ''))
    throw new Error(
      `--${dataset ? 'dataset' : 'tokenizer'} was given alone; expected --dataset and --tokenizer together`,
    );
  const { vocabSize, maxPositionEmbeddings: maxTokens } = config;
  const name = dataset === '' ? `workload-${vocabSize}-${maxTokens}` : await fingerprint(dataset, tokenizer);
  const path = join(CACHE, `rows-${name}-${loss}.jsonl`);
  const made =
    dataset === '' ? await workloadRows({ loss, vocabSize, maxTokens }) : await datasetRows(dataset, tokenizer, loss);
  await writeRows(path, made);
  return path;
}

/**
 * The same for generation: prompts are completion rows without their answers.
 * @param {{ 'new-tokens': string, rows?: string, dataset?: string, tokenizer?: string }} options
 * @param {import('@gemmatune/engine').ModelConfig} config
 */
export function promptRows(options, config) {
  const tokens = Math.max(Number(options['new-tokens']), 64);
  return rowsFile(options, {
    loss: 'completion',
    config: { ...config, maxPositionEmbeddings: config.maxPositionEmbeddings - tokens },
  });
}

/** @param {string[]} paths */
async function fingerprint(...paths) {
  const parts = await Promise.all(paths.map(async (path) => [path, (await stat(path)).mtimeMs]));
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 12);
}

/** @param {string} path appears whole @param {readonly Row[]} rows */
export async function writeRows(path, rows) {
  await mkdir(dirname(path), { recursive: true });
  const lines = rows.map(
    ({ inputIds, labels }) => `${JSON.stringify({ input_ids: [...inputIds], labels: [...labels] })}\n`,
  );
  const beside = `${path}.${process.pid}`;
  await pipeline(Readable.from(lines), createWriteStream(beside));
  await rename(beside, path);
}
