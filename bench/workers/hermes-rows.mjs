// Writes any number of rows in the layout of interstellarninja/hermes_reasoning_tool_use and prints one JSON line. The rows of a data set
// of that layout are repeated, or by default those of the quickstart in that layout; from the second time on every fourth word of prose is
// another one, so that few texts come twice.  node bench/workers/hermes-rows.mjs --rows N --out FILE [--dataset FILE.jsonl]
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';

const SYLLABLES = 'ba ke lo mi nu ra se to vi zu dor fen gal hem pit wex'.split(' ');
const BEFORE_TOOLS =
  'You think a problem through before you answer it. Put your thoughts between <think> </think> tags, and then give your answer. ' +
  'You may call functions to help with what the user asks. Their signatures are between <tools> </tools> tags. Do not make assumptions ' +
  'about the values of arguments. What a function returns comes back between <tool_response> </tool_response> tags. The functions are:';
const AFTER_TOOLS =
  "For each call write a JSON object of this schema between <tool_call> </tool_call> tags: {'title': 'FunctionCall', 'type': 'object', " +
  "'properties': {'name': {'title': 'Name', 'type': 'string'}, 'arguments': {'title': 'Arguments', 'type': 'object'}}, 'required': " +
  "['name', 'arguments']}";

const { values: a } = parseArgs({
  options: {
    rows: { type: 'string', default: '0' },
    out: { type: 'string', default: '' },
    dataset: { type: 'string', default: '' },
  },
});
const QUICKSTART = new URL('../../packages/cli/assets/quickstart/train.jsonl', import.meta.url);
const lines = await linesOf(a.dataset === '' ? QUICKSTART : a.dataset);
const rows = a.dataset === '' ? lines.map((line) => JSON.stringify(hermesRow(JSON.parse(line)))) : lines;
let bytes = 0;
await pipeline(Readable.from(repeated(Number(a.rows))), createWriteStream(a.out));
/** @typedef {typeof result} Printed */
const result = { rows: Number(a.rows), different: rows.length, bytes };
console.log(JSON.stringify(result));

async function linesOf(file) {
  return (await readFile(file, 'utf8')).split('\n').filter((line) => line.trim() !== '');
}

function* repeated(count) {
  for (let i = 0; i < count; i++) {
    const line = Buffer.from(`${varied(rows[i % rows.length], Math.floor(i / rows.length))}\n`);
    bytes += line.length;
    yield line;
  }
}

/** A word between blanks is prose: names of functions, keys and types stand in quotes. A word is replaced everywhere in a row or nowhere. */
function varied(line, round) {
  if (round === 0) return line;
  return line.replace(/(?<= )[a-z]{4,}(?= )/g, (word) => {
    const drawn = hash(word, round);
    return drawn % 4 === 0 ? [4, 8, 12].map((bit) => SYLLABLES[(drawn >>> bit) % SYLLABLES.length]).join('') : word;
  });
}

/** FNV-1a with the last step of murmur3. */
function hash(word, seed) {
  let h = Math.imul(seed, 0x9e3779b1) ^ 0x811c9dc5;
  for (let i = 0; i < word.length; i++) h = Math.imul(h ^ word.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
  return (h ^ (h >>> 13)) >>> 0;
}

/** A row of prepare as the data set it could have come from. */
function hermesRow({ user_content, tool_name, tool_arguments, hf_tools }) {
  const tools = JSON.stringify(hf_tools.map((tool) => tool.function));
  const call = `{"name": ${JSON.stringify(tool_name)}, "arguments": ${tool_arguments}}`;
  return {
    conversations: [
      { from: 'system', value: `${BEFORE_TOOLS}\n<tools>\n${tools}\n</tools>\n${AFTER_TOOLS}` },
      { from: 'human', value: user_content },
      {
        from: 'gpt',
        value: `<think>\nThe user asks: ${user_content} There is a function for this, ${tool_name}, and its values are given.\n</think>\n<tool_call>\n${call}\n</tool_call>`,
      },
      {
        from: 'tool',
        value: `<tool_response>\n{"name": "${tool_name}", "content": {"status": "ok"}}\n</tool_response>`,
      },
      {
        from: 'gpt',
        value:
          '<think>\nNothing is left to do in this turn.\n</think>\nDone: the function was called and has answered.',
      },
    ],
    tools,
    task: user_content,
    category: 'quickstart',
    source: 'gemmatune',
    scenario_category: 'single',
  };
}
