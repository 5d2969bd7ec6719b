// One stage of the way from a data set to token ids, and one JSON line: seconds, rows, peak memory.
//   --stage prepare   --dataset FILE --out FOLDER     what `gemmatune prepare` does
//   --stage tokenize  --rows FILE --tokenizer PATH    its rows to ids, none of them kept
//   --stage encode    --rows FILE --tokenizer PATH    the same with all ids kept, as before training
//   --stage tokenizer --rows FILE --tokenizer PATH    the tokenizer alone: loading, encoding, decoding
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { encodeEach, encodeRows, prepareFiles, readTrainingRows } from '@gemmatune/data';
import { renderToolRow } from '@gemmatune/template';
import { Tokenizer } from '@gemmatune/tokenizer';
import { peakResidentBytes, residentBytes } from '../measure/memory.mjs';
import { chosen } from '../measure/options.mjs';
import { median } from '../measure/statistics.mjs';

const { values: a } = parseArgs({
  options: {
    stage: { type: 'string', default: '' },
    dataset: { type: 'string', default: '' },
    out: { type: 'string', default: '' },
    rows: { type: 'string', default: '' },
    tokenizer: { type: 'string', default: '' },
    passes: { type: 'string', default: '5' }, // of the stage tokenizer
  },
});
const STAGES = { prepare, tokenize, encode, tokenizer: tokenizerAlone };
/**
 * @typedef {typeof STAGES} Stages
 * @typedef {{ startBytes: number, peakBytes: number }} Memory
 */
/**
 * @template {keyof Stages} Stage
 * @typedef {Awaited<ReturnType<Stages[Stage]>> & Memory} Printed
 */
const [stage] = chosen('--stage', a.stage, /** @type {(keyof Stages)[]} */ (Object.keys(STAGES)));
const startBytes = residentBytes();
const result = await STAGES[stage]();
console.log(JSON.stringify({ ...result, startBytes, peakBytes: peakResidentBytes() }));

async function prepare() {
  const { value, ...spent } = await timed(() => prepareFiles(a.dataset, a.out));
  return { ...spent, rows: value.read, usable: value.train.usable };
}

/** The tokenizer is loaded before the clock starts: `tokenizer` times that. */
async function tokenize() {
  const options = await encodeOptions();
  const { value, ...spent } = await timed(async () => {
    let [rows, tokens] = [0, 0];
    for await (const { row } of encodeEach(readTrainingRows(a.rows), options, a.rows)) {
      rows++;
      tokens += row.inputIds.length;
    }
    return { rows, tokens };
  });
  return { ...spent, ...value };
}

async function encode() {
  const options = await encodeOptions();
  const { value, ...spent } = await timed(() => encodeRows(readTrainingRows(a.rows), options, a.rows));
  const idBytes = value.rows.reduce((sum, { inputIds, labels }) => sum + inputIds.byteLength + labels.byteLength, 0);
  return { ...spent, rows: value.report.kept, tokens: value.report.tokens, idBytes };
}

async function tokenizerAlone() {
  const cacheFolder = await mkdtemp(join(tmpdir(), 'gemmatune-bench-'));
  const load = () => timed(() => Tokenizer.load(a.tokenizer, { cacheFolder }));
  const first = await load();
  const cached = [await load(), await load(), await load()];
  await rm(cacheFolder, { recursive: true });

  /** @type {string[]} */
  const texts = [];
  for await (const { row } of readTrainingRows(a.rows)) {
    if (!('tool_name' in row)) throw new Error(`${a.rows}: found another row, expected function calls`);
    const parts = renderToolRow(row).map(({ text }) => text);
    texts.push(parts.join(''));
  }
  const { value: tokenizer } = first;
  const encodeAll = () => texts.map((text) => tokenizer.encode(text, { addSpecialTokens: false }));
  const cold = await timed(encodeAll);
  /** @type {number[]} */
  const warm = [];
  /** @type {number[]} */
  const decoded = [];
  for (let pass = 0; pass < Number(a.passes); pass++) {
    warm.push((await timed(encodeAll)).seconds);
    decoded.push((await timed(() => cold.value.map((ids) => tokenizer.decode(ids)))).seconds);
  }
  return {
    texts: texts.length,
    tokens: cold.value.reduce((sum, ids) => sum + ids.length, 0),
    firstLoadSeconds: first.seconds,
    cachedLoadSeconds: median(cached.map(({ seconds }) => seconds)),
    firstEncodeSeconds: cold.seconds,
    encodeSeconds: median(warm),
    decodeSeconds: median(decoded),
  };
}

async function encodeOptions() {
  return { tokenizer: await Tokenizer.load(a.tokenizer) };
}

/**
 * @template Value
 * @param {() => Value | Promise<Value>} work
 */
async function timed(work) {
  const began = performance.now();
  const cpuBefore = process.cpuUsage();
  const value = await work();
  const { user, system } = process.cpuUsage(cpuBefore);
  return { seconds: (performance.now() - began) / 1e3, cpuSeconds: (user + system) / 1e6, value };
}
