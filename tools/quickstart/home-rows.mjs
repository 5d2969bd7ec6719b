/**
 * The quickstart's rows: what a user would have, requests to twelve functions of one's own. Training and evaluation share the functions and
 * the ways of asking, but no request, and no open string: names, songs, messages and times of the evaluation are new.
 */
import { ask, row } from './grammar.mjs';
import { HOME_TOOLS } from './home-tools.mjs';
import { Random } from './random.mjs';

const TRAINING = { seed: 11, perTool: 110 };
const EVALUATION = { seed: 12, perTool: 12 };
const OPENINGS = ['', '', '', 'hey, ', 'ok, ', 'hello, ', 'please '];
const ENDINGS = ['', '', '', '.', '!', ', thanks', ' please'];

function rows({ seed, perTool }, heldOut) {
  const random = new Random(seed);
  const seen = new Set(heldOut ? trainingRows().map(({ user_content }) => user_content) : []);
  const made = [];
  for (const wanted of HOME_TOOLS) {
    for (let i = 0; i < perTool; ) {
      const { request, args } = ask(wanted, wanted.phrasings[i % wanted.phrasings.length], random, heldOut);
      const words = random.pick(OPENINGS) + request + random.pick(ENDINGS);
      if (seen.has(words)) continue;
      seen.add(words);
      const others = random.sample(
        HOME_TOOLS.filter((tool) => tool !== wanted),
        random.integer(2, 5),
      );
      made.push(row(wanted, words, args, others, random));
      i++;
    }
  }
  return random.shuffle(made);
}

export const trainingRows = () => rows(TRAINING, false);
export const evaluationRows = () => rows(EVALUATION, true);
