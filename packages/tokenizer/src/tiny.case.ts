/** A tokenizer.json of the Gemma 3 family that is small enough to work out by hand. Shared by the tests here. */

const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
const PIECES = [
  '\u2581',
  'a',
  'b',
  'c',
  '>',
  '<',
  '/',
  '\u2581a',
  'ab',
  '\u2581ab',
  'bc',
  '</',
  '\u2581</',
  '>\u2581</',
  'é',
  '\ufffd',
];
/** Earlier is stronger. `ab` before `bc`: "abc" is ab c. The last one crosses a word boundary. */
const MERGES = [
  ['a', 'b'],
  ['\u2581', 'ab'],
  ['\u2581', 'a'],
  ['b', 'c'],
  ['<', '/'],
  ['\u2581', '</'],
  ['>', '\u2581</'],
];
const SPECIALS = ['<pad>', '<eos>', '<bos>', '<unk>'];
const ADDED = ['<escape>', '\n', '\n\n', '\u2581\u2581', '<end_of_turn>'];

const vocabulary = [...SPECIALS, ...BYTES, ...PIECES];

/** Ids of vocabulary tokens by text; added tokens follow the vocabulary. */
export const tinyId = (token: string) => [...vocabulary, ...ADDED].indexOf(token);

const addedToken = (content: string, special: boolean) => ({
  id: tinyId(content),
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special,
});

/** A fresh copy, to be changed at will. */
export function tinyDefinition() {
  return structuredClone({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [
      ...SPECIALS.map((token) => addedToken(token, true)),
      ...ADDED.map((token) => addedToken(token, token === '<end_of_turn>')),
    ],
    normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' } as object | null,
    pre_tokenizer: {
      type: 'Split',
      pattern: { String: ' ' },
      behavior: 'MergedWithPrevious',
      invert: false,
    } as object | null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<bos>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }] as object[],
      pair: [],
      special_tokens: { '<bos>': { id: '<bos>', ids: [2], tokens: ['<bos>'] } } as Record<string, object>,
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '\u2581' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
      ] as object[],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<unk>',
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false as boolean | undefined,
      vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
      merges: MERGES as (string[] | string)[],
    },
  });
}
