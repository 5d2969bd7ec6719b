// Generates greedily for the prompts of rows and prints one JSON line: seconds of prefill and of the whole, by repetition. A row's
// prompt is what comes before its first learnt token. No id ends a generation, so that every prompt gets all its new tokens.

import { parseArgs } from 'node:util';
import { Model, systemInfo } from '@gemmatune/engine';
import { peakResidentBytes, residentBytes } from '../measure/memory.mjs';
import { modelConfig, modelFolder } from '../measure/model.mjs';
import { placeOf } from '../measure/options.mjs';
import { readRows, workloadRows } from '../measure/workload.mjs';

const { values: a } = parseArgs({
  options: {
    model: { type: 'string', default: '' },
    rows: { type: 'string', default: '' }, // '' = workload.json
    prompts: { type: 'string', default: '16' },
    batch: { type: 'string', default: '16' },
    'new-tokens': { type: 'string', default: '64' },
    repeat: { type: 'string', default: '1' },
    dtype: { type: 'string', default: 'auto' },
    device: { type: 'string', default: 'cpu' },
    threads: { type: 'string', default: '0' },
    ids: { type: 'boolean', default: false }, // print the generated ids too
  },
});
const folder = await modelFolder(a.model);
const { vocabSize, maxPositionEmbeddings } = await modelConfig(folder);
const newTokens = Number(a['new-tokens']);
const maxTokens = maxPositionEmbeddings - newTokens;
const rows = a.rows ? await readRows(a.rows) : await workloadRows({ loss: 'completion', vocabSize, maxTokens });
const prompts = rows.slice(0, Number(a.prompts)).map(({ inputIds, labels }) =>
  inputIds.subarray(
    0,
    Math.max(
      1,
      labels.findIndex((label) => label !== -100),
    ),
  ),
);

const baselineBytes = residentBytes();
const model = await Model.load(folder, placeOf(a));
/** @param {Int32Array[]} some @param {number} maxNewTokens */
const generate = (some, maxNewTokens) =>
  model.generate(some, { maxNewTokens, stopIds: [], batchSize: Number(a.batch) });
/** @param {number} maxNewTokens */
async function timed(maxNewTokens) {
  const start = performance.now();
  const ids = await generate(prompts, maxNewTokens);
  return { seconds: (performance.now() - start) / 1e3, ids };
}

await generate(prompts.slice(0, 1), 2); // touches the weights
const prefillSeconds = [];
const seconds = [];
/** @type {Int32Array[]} */
let ids = [];
for (let i = 0; i < Number(a.repeat); i++) {
  prefillSeconds.push((await timed(1)).seconds);
  const whole = await timed(newTokens);
  seconds.push(whole.seconds);
  ids = whole.ids;
}
const peak = peakResidentBytes();
const memory = model.memory();
await model.dispose();
/** @typedef {typeof result} Printed */
const result = {
  peer: 'gemmatune',
  settings: { ...a, dtype: model.dtype, prompts: prompts.length },
  promptTokens: prompts.reduce((sum, { length }) => sum + length, 0),
  newTokens: ids.reduce((sum, { length }) => sum + length, 0),
  /** Of one new token a prompt. */
  prefillSeconds,
  /** Of all, prefill included. */
  seconds,
  peakResidentBytes: peak,
  peakMinusBaselineBytes: peak - baselineBytes,
  memory,
  ids: a.ids ? ids.map((each) => [...each]) : undefined,
  instructionSet: systemInfo().instructionSet,
  node: process.version,
};
console.log(JSON.stringify(result));
