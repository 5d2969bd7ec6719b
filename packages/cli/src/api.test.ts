/** What programs import: arguments of the wrong kind get a sentence and a code, whoever forgot the types. */
import { describe, expect, it } from 'vitest';
import {
  encodeRows,
  evaluate,
  finetune,
  Model,
  prepare,
  questionOf,
  readQuestions,
  readTrainingRows,
  Tokenizer,
  Trainer,
} from './index.js';
import { TINY, toolRow } from './program.case.js';

/** A value that types would not let through. */
// biome-ignore lint/suspicious/noExplicitAny: that is what is tested
const wrong = (value: unknown): any => value;

async function drained(rows: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of rows);
}

const tokenizer = await Tokenizer.load(TINY);
const row = { inputIds: Int32Array.of(2, 5), labels: Int32Array.of(2, 5) };
const model = await Model.load(TINY, { dtype: 'float32', trainable: true });
const question = questionOf(wrong(toolRow('get_weather', '{"city": "Porto"}')), 'native');

describe('an argument of the wrong kind', () => {
  it.each([
    ['a path for rows', () => encodeRows(wrong('train.jsonl'), { tokenizer }), "encodeRows: rows is 'train.jsonl', "],
    ['no options', () => encodeRows([], wrong(undefined)), 'encodeRows: options is nothing, expected an object'],
    ['no tokenizer', () => encodeRows([], wrong({})), 'encodeRows: tokenizer is nothing, expected a Tokenizer.'],
    [
      'an unknown option of encodeRows',
      () => encodeRows([], wrong({ tokenizer, max_length: 5 })),
      "encodeRows: there is no option 'max_length'; did you mean 'maxLength'?",
    ],
    ['a number for a path', () => drained(readTrainingRows(wrong(5))), 'readRows: path is 5, expected the path'],
    ['rows for a path', () => readQuestions(wrong([]), wrong(null), 'native'), 'readRows: path is [], expected'],
    ['no folder', () => Model.load(wrong(undefined)), 'Model.load: folder is nothing, expected the path of a'],
    [
      'an unknown option of Model.load',
      () => Model.load(TINY, wrong({ dType: 'float32' })),
      "Model.load: there is no option 'dType'; did you mean 'dtype'?",
    ],
    ['no tokenizer folder', () => Tokenizer.load(wrong(null)), 'Tokenizer.load: path is null, expected the path of'],
    ['ids for a text', async () => tokenizer.encode(wrong([1])), 'encode: text is [1], expected a text.'],
    ['rows for questions', () => evaluate(model, tokenizer, wrong([row])), 'evaluate: questions is '],
    ['rows for the tokenizer', () => evaluate(model, wrong([question]), wrong(undefined)), 'evaluate: tokenizer is [{'],
    [
      'an unknown option of evaluate',
      () => evaluate(model, tokenizer, [question], wrong({ n: 5 })),
      "evaluate: there is no option 'n'; ",
    ],
    ['texts for prompts', () => model.generate(wrong(['a']), { maxNewTokens: 1 }), 'generate: prompts is ["a"], '],
    [
      'an unknown option of generate',
      () => model.generate([Int32Array.of(2)], wrong({ maxTokens: 1 })),
      "generate: there is no option 'maxTokens'; ",
    ],
    ['a parameter that is not there', async () => model.read('weight', 'x'), "read: name is 'x', expected one of"],
    ['an unknown option of prepare', () => prepare('a.jsonl', wrong({ evaluation: 1 })), 'prepare: there is no option'],
    ['a number for a source', () => prepare(wrong(1)), 'prepare: source is 1, expected the path of a file, or a list'],
    ['no input', async () => new Trainer(model, wrong(undefined)), 'new Trainer: options is nothing, expected an'],
    ['a path for trainRows', async () => new Trainer(model, wrong({ trainRows: 'a' })), "trainRows is 'a'; expected"],
    [
      'an unknown part of the input',
      async () => new Trainer(model, wrong({ trainRows: [row], rows: [row] })),
      "new Trainer: there is no option 'rows'; ",
    ],
    ['a text for options', () => drained(finetune(wrong('a'))), "finetune: options is 'a', expected an object"],
  ] as const)('%s', async (_what, call, sentence) => {
    const error = await Promise.resolve()
      .then(call as () => Promise<unknown>)
      .then(
        () => undefined,
        (reason: Error) => reason,
      );
    expect(error?.message).toContain(sentence);
    expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_GEMMATUNE_/) });
  });
});

it('an aborted signal rejects with its reason', async () => {
  const stop = new AbortController();
  const why = new Error('enough');
  const prompts = Array.from({ length: 4 }, () => Int32Array.of(2, 5, 6));
  const onProgress = () => stop.abort(why);
  const request = { maxNewTokens: 50, batchSize: 1, stopIds: [], signal: stop.signal, onProgress };
  await expect(model.generate(prompts, request)).rejects.toBe(why);
  await expect(evaluate(model, tokenizer, [question], { signal: stop.signal })).rejects.toBe(why);
});
