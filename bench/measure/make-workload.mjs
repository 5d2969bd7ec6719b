// Makes workload.json from rows whose answers are their end:  node bench/measure/make-workload.mjs completion.jsonl
import { writeFile } from 'node:fs/promises';
import { readRows } from './workload.mjs';

const rows = (await readRows(process.argv[2])).map(({ inputIds, labels }) => [
  inputIds.length,
  inputIds.length - (labels.lastIndexOf(-100) + 1),
]);
const lines = Array.from({ length: Math.ceil(rows.length / 12) }, (_, i) =>
  rows
    .slice(i * 12, (i + 1) * 12)
    .map((row) => JSON.stringify(row))
    .join(', '),
);
const what =
  'Lengths of function-calling rows in FunctionGemma format, at most 512 tokens: [tokens, tokens of the answer, which is the end]';
await writeFile(
  new URL('../workload.json', import.meta.url),
  `{\n  "what": ${JSON.stringify(what)},\n  "rows": [\n    ${lines.join(',\n    ')}\n  ]\n}\n`,
);
