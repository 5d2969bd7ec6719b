/** Makes packages/cli/assets/quickstart anew: `node tools/quickstart/make.mjs [--rows]`; --rows leaves the model as it is. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseModelConfig } from '../../packages/engine/dist/index.js';
import { evaluate, questionOf } from '../../packages/eval/dist/index.js';
import { renderToolRow } from '../../packages/template/dist/index.js';
import { Tokenizer } from '../../packages/tokenizer/dist/index.js';
import { checkApart } from './apart.mjs';
import { tokenizerConfig, trainTokenizer } from './bpe.mjs';
import { baseRows, echoes, take } from './corpus.mjs';
import { evaluationRows, trainingRows } from './home-rows.mjs';
import { pretrain } from './pretrain.mjs';
import { FINETUNE, MODEL, PRETRAINING, TOKENIZER } from './settings.mjs';

const assets = fileURLToPath(new URL('../../packages/cli/assets/quickstart/', import.meta.url));
const model = `${assets}model/`;
const json = (value) => `${JSON.stringify(value, null, 2)}\n`;
const jsonl = (rows) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

async function makeRows() {
  const [training, evaluation] = [trainingRows(), evaluationRows()];
  checkApart(training, evaluation, PRETRAINING);
  await mkdir(assets, { recursive: true });
  await writeFile(`${assets}train.jsonl`, jsonl(training));
  await writeFile(`${assets}eval.jsonl`, jsonl(evaluation));
  await writeFile(`${assets}settings.json`, json(FINETUNE));
}

async function makeTokenizer() {
  const { seed, rows, echoes: count } = TOKENIZER;
  const calls = take(baseRows(seed), rows).flatMap((row) => renderToolRow(row));
  const said = take(echoes(seed), count).map(({ answer }) => ({ text: answer }));
  const texts = [...calls, ...said].flatMap(({ text }) => text.split(/<[a-z_]+>/));
  await writeFile(`${model}tokenizer.json`, JSON.stringify(trainTokenizer(texts, MODEL.vocab_size)));
  await writeFile(`${model}tokenizer_config.json`, json(tokenizerConfig));
  return Tokenizer.load(model);
}

async function makeModel() {
  await rm(model, { recursive: true, force: true });
  await mkdir(model, { recursive: true });
  const tokenizer = await makeTokenizer();
  const started = performance.now();
  const base = await pretrain(parseModelConfig(MODEL, 'settings.mjs'), tokenizer, PRETRAINING, (progress) => {
    const seconds = Math.round((performance.now() - started) / 1000);
    console.log(`${progress.step}/${PRETRAINING.steps}  loss ${progress.loss.toFixed(4)}  ${seconds} s`);
  });
  await base.save(model, { dtype: 'bfloat16' });
  // Rows of the base tools that training did not see.
  const questions = take(baseRows(PRETRAINING.seed + 1), 200).map((row) => questionOf(row, 'native'));
  const { metrics } = await evaluate(base, tokenizer, questions);
  console.log('base tools, fresh rows:', metrics);
}

await makeRows();
if (!process.argv.includes('--rows')) await makeModel();
