/** Rows for the base model: endless, a pure function of the seed. */
import { BASE_TOOLS } from './base-tools/index.mjs';
import { ask, row } from './grammar.mjs';
import { madeUpTool } from './made-up-tools.mjs';
import { Random } from './random.mjs';
import { vary } from './vary.mjs';
import * as words from './words.mjs';

const OPENINGS = ['', '', '', 'please ', 'can you ', 'hi, ', 'could you please ', 'hello, ', 'hey, ', 'now ', 'ok, '];
const ENDINGS = ['', '', '', '', '?', '.', ' please', ', thanks', ', thank you', '!', ' now'];

/** A tool and one request for it: half of them among the written ones under changing names, half made up. @param {Random} random */
function drawTool(random) {
  if (random.chance(0.5)) return { ...madeUpTool(random), written: undefined };
  const written = random.pick(BASE_TOOLS);
  const { request, args } = ask(written, random.pick(written.phrasings), random);
  const { tool, renameArguments } = vary(written, random);
  return { tool, request, args: renameArguments(args), written };
}

/**
 * @param {number} seed
 * @param {() => number} mostOthers tools on offer beside the wanted one: 2 to 5, or fewer where this is below
 * @returns {Generator<ReturnType<typeof row>, never>}
 */
export function* baseRows(seed, mostOthers = () => 5) {
  const random = new Random(seed);
  for (;;) {
    const { tool, request, args, written } = drawTool(random);
    const most = mostOthers();
    const others = Array.from({ length: random.integer(Math.min(2, Math.floor(most / 2)), most) }, () =>
      drawTool(random),
    );
    const names = new Set([tool, ...others.map((other) => other.tool)].map(({ name }) => name));
    const askedTwice = written !== undefined && others.some((other) => other.written === written);
    if (askedTwice || names.size <= others.length) continue;
    const words = random.pick(OPENINGS) + request + random.pick(ENDINGS);
    yield row(
      tool,
      words,
      args,
      others.map((other) => other.tool),
      random,
    );
  }
}

const SAYINGS = [
  words.sentence,
  words.thing,
  words.invented,
  words.phrase,
  words.title,
  words.fullName,
  words.code,
  words.identifier,
  words.file,
  words.street,
  words.clock,
  (random) => String(random.integer(1, 9999)),
];

/**
 * Things said twice, the second time as arguments: the shortest lesson in copying.
 * @param {number} seed
 * @param {readonly string[]} pieces tokens of letters, if there are any yet: some words are put together from them, so that every token gets copied
 * @returns {Generator<{ prompt: string, answer: string }, never>}
 */
export function* echoes(seed, pieces = []) {
  const random = new Random(seed);
  const patched = () =>
    Array.from({ length: random.integer(1, 3) }, () =>
      Array.from({ length: random.integer(1, 3) }, () => random.pick(pieces)).join(''),
    ).join(' ');
  for (;;) {
    const said = Array.from({ length: random.integer(1, 4) }, () =>
      pieces.length > 0 && random.chance(0.3) ? patched() : random.pick(SAYINGS)(random),
    );
    yield {
      prompt: `<bos><start_of_turn>user\n${said.join(' ')}<end_of_turn>\n<start_of_turn>model\n`,
      answer: said.map((one) => `<escape>${one}<escape>`).join(','),
    };
  }
}

/**
 * @template Row
 * @param {Iterable<Row>} rows endless
 * @param {number} count
 */
export function take(rows, count) {
  /** @type {Row[]} */
  const taken = [];
  for (const next of rows) {
    taken.push(next);
    if (taken.length === count) break;
  }
  return taken;
}
