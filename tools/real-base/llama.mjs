// What llama.cpp says: log-probabilities of every next token of some sequences, by node-llama-cpp (an optional peer, never a dependency).
//
//   node tools/real-base/llama.mjs PACKAGE MODEL.gguf < '[[ids…],…]' > '[[log p(id 1 | id 0), …],…]'
//
// PACKAGE: a folder with node_modules/node-llama-cpp (`npm install --ignore-scripts node-llama-cpp@3.22` there).
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';

const [folder, modelPath] = process.argv.slice(2);
const { href } = pathToFileURL(createRequire(join(folder, 'package.json')).resolve('node-llama-cpp'));
const { getLlama } = await import(href);
const sequences = JSON.parse(await text(process.stdin));
const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' });
const model = await llama.loadModel({ modelPath });
// Its keys and values would be of fp16, 11 bits: what is compared is arithmetic.
const cache = { experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32' };
const context = await model.createContext({ contextSize: 2048, sequences: 1, flashAttention: false, ...cache });
const sequence = context.getSequence();
const out = [];
for (const ids of sequences) {
  await sequence.clearHistory();
  const wanted = ids.map((/** @type {number} */ id) => [id, { generateNext: { probabilities: true } }]);
  const results = await sequence.controlledEvaluate(wanted);
  out.push(
    ids
      .slice(1)
      .map((/** @type {number} */ id, /** @type {number} */ t) => Math.log(results[t].next.probabilities.get(id))),
  );
}
process.stdout.write(`${JSON.stringify(out)}\n`);
