/**
 * Tokens per second of encode and decode on one core, and load times, as JSON on stdout.
 * Usage: node bench/tokenizer.mjs TOKENIZER_FOLDER_OR_FILE ROWS.jsonl   (build the packages first)
 * Each line of ROWS is one text, encoded as it stands. "first" is the first pass (cold word cache), "median" that of ten more.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tokenizer } from '../packages/tokenizer/dist/index.js';

const [tokenizerPath, rowsPath] = process.argv.slice(2);
if (!tokenizerPath || !rowsPath) {
  console.error('Usage: node bench/tokenizer.mjs TOKENIZER_FOLDER_OR_FILE ROWS.jsonl');
  process.exit(2);
}

const cacheFolder = await mkdtemp(join(tmpdir(), 'gemmatune-bench-'));
const seconds = async (work) => {
  const start = performance.now();
  const result = await work();
  return { seconds: (performance.now() - start) / 1000, result };
};
const firstLoad = await seconds(() => Tokenizer.load(tokenizerPath, { cacheFolder }));
const cachedLoad = await seconds(() => Tokenizer.load(tokenizerPath, { cacheFolder }));
await rm(cacheFolder, { recursive: true });

const tokenizer = cachedLoad.result;
const texts = (await readFile(rowsPath, 'utf8')).split('\n').filter((line) => line !== '');
const tokens = texts.reduce((sum, text) => sum + tokenizer.encode(text).length, 0);
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

const cold = await seconds(() => firstLoad.result && texts.map((text) => firstLoad.result.encode(text)));
const warm = [];
const decode = [];
for (let pass = 0; pass < 10; pass++) {
  const encoded = await seconds(() => texts.map((text) => tokenizer.encode(text)));
  warm.push(encoded.seconds);
  decode.push((await seconds(() => encoded.result.map((ids) => tokenizer.decode(ids)))).seconds);
}

const characters = texts.reduce((sum, text) => sum + text.length, 0);
console.log(
  JSON.stringify(
    {
      what: 'tokenizer',
      cpu: cpus()[0]?.model,
      node: process.version,
      texts: texts.length,
      characters,
      tokens,
      load_first_s: firstLoad.seconds,
      load_cached_s: cachedLoad.seconds,
      encode_first_tokens_per_s: Math.round(tokens / cold.seconds),
      encode_median_tokens_per_s: Math.round(tokens / median(warm)),
      decode_median_tokens_per_s: Math.round(tokens / median(decode)),
      rss_mb: Math.round(process.memoryUsage().rss / 1e6),
    },
    null,
    2,
  ),
);
