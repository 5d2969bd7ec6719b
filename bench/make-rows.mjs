// Function-calling rows as token ids: node bench/make-rows.mjs --dataset F --tokenizer F --out rows.jsonl [--loss full --format native
// --max-length 512 --take 400]. Rows longer than the limit are left out, so that every peer trains on the same tokens.
import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { encodeRow, prepare } from '../packages/data/dist/index.js';
import { Tokenizer } from '../packages/tokenizer/dist/index.js';

const { values: a } = parseArgs({
  options: {
    dataset: { type: 'string' },
    tokenizer: { type: 'string' },
    out: { type: 'string' },
    loss: { type: 'string', default: 'full' },
    format: { type: 'string', default: 'native' },
    'max-length': { type: 'string', default: '512' },
    take: { type: 'string' },
  },
});
const tokenizer = await Tokenizer.load(a.tokenizer);
const { train } = await prepare(a.dataset, a.take ? { take: Number(a.take) } : {});
const out = createWriteStream(a.out);
const lengths = [];
for (const { json } of train) {
  const { inputIds, labels } = encodeRow(JSON.parse(json), { tokenizer, loss: a.loss, format: a.format }, '');
  if (inputIds.length > Number(a['max-length'])) continue;
  lengths.push(inputIds.length);
  out.write(`${JSON.stringify({ input_ids: [...inputIds], labels: [...labels] })}\n`);
}
out.end();
await finished(out);
console.error(
  `${lengths.length} rows, ${lengths.reduce((s, n) => s + n, 0)} tokens, mean ${(lengths.reduce((s, n) => s + n, 0) / lengths.length).toFixed(0)}`,
);
