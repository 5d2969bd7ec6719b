/**
 * What the quickstart's settings give, for several seeds and both precisions:
 * `node tools/quickstart/prove.mjs [seeds=42,43,44] [dtypes=float32,bfloat16]`.
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { encodeRows } from '../../packages/data/dist/index.js';
import { Model } from '../../packages/engine/dist/index.js';
import { evaluate, questionOf } from '../../packages/eval/dist/index.js';
import { Tokenizer } from '../../packages/tokenizer/dist/index.js';
import { Trainer } from '../../packages/train/dist/index.js';

const [seeds = '42,43,44', dtypes = 'float32,bfloat16'] = process.argv.slice(2);
const assets = fileURLToPath(new URL('../../packages/cli/assets/quickstart/', import.meta.url));
const read = (/** @type {string} */ name) => readFile(`${assets}${name}`, 'utf8');
const rowsOf = async (/** @type {string} */ name) =>
  (await read(name))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

const tokenizer = await Tokenizer.load(`${assets}model`);
const settings = JSON.parse(await read('settings.json'));
const [training, evaluation] = await Promise.all([rowsOf('train.jsonl'), rowsOf('eval.jsonl')]);
const questions = evaluation.map((row) => questionOf(row, 'native'));
const numbered = training.map((row, i) => ({ line: i + 1, row }));
const { rows: trainRows } = await encodeRows(numbered, { tokenizer, ...settings });

/** @param {Model} model */
async function measure(model) {
  const { metrics } = await evaluate(model, tokenizer, questions, { maxNewTokens: 64 });
  return Object.fromEntries(
    ['tool_accuracy', 'tc_cer', 'exact_match'].map((name) => [name, metrics[name]?.toFixed(3)]),
  );
}

for (const dtype of /** @type {import('../../packages/engine/dist/index.js').DTypeName[]} */ (dtypes.split(','))) {
  for (const seed of seeds.split(',').map(Number)) {
    const model = await Model.load(`${assets}model`, { dtype, trainable: true, threads: 2 });
    const before = await measure(model);
    const started = performance.now();
    for await (const _ of new Trainer(model, { trainRows, options: { ...settings, seed } }).train());
    const seconds = (performance.now() - started) / 1000;
    console.log(JSON.stringify({ dtype, seed, seconds: seconds.toFixed(1), before, after: await measure(model) }));
    await model.dispose();
  }
}
