/** `node tools/settings/concierge/make.mjs OUT` writes OUT/train.jsonl and OUT/eval.jsonl: rows as `gemmatune prepare` writes them. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exactJson, printExactJson } from '../../../packages/schema/dist/index.js';
import { FUNCTIONS } from './functions.mjs';
import { trainingCalls } from './grammar.mjs';

const asRow = ({ name, request, args }) => ({
  user_content: request,
  tool_name: name,
  tool_arguments: printExactJson(exactJson(args)),
  hf_tools: FUNCTIONS,
});

export const trainingRows = () => trainingCalls().map(asRow);

export async function evaluationRows() {
  const text = await readFile(new URL('by-hand.jsonl', import.meta.url), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => asRow(JSON.parse(line)));
}

export async function make(folder) {
  const jsonl = (rows) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'train.jsonl'), jsonl(trainingRows()));
  await writeFile(join(folder, 'eval.jsonl'), jsonl(await evaluationRows()));
}

if (process.argv[1] === import.meta.filename) {
  const folder = process.argv[2];
  if (folder === undefined) {
    console.error('make.mjs was given no folder. Usage: node tools/settings/concierge/make.mjs OUT');
    process.exit(2);
  }
  await make(folder);
}
