/**
 * A tokenizer.json in the layout of Gemma 3's, with a small vocabulary of our own: byte-pair encoding with byte fallback (Sennrich
 * et al. 2016), special tokens at FunctionGemma's ids, runs of line breaks and blanks as added tokens.
 */
const BLANK = '\u2581';

/** FunctionGemma's tokens and ids; the ids between them are `<unusedN>`. `special` tokens are left out by decoding. */
const NAMED = [
  [0, '<pad>', true], [1, '<eos>', true], [2, '<bos>', true], [3, '<unk>', true], [4, '<mask>', false],
  [46, '<start_function_declaration>', false], [47, '<end_function_declaration>', false],
  [48, '<start_function_call>', false], [49, '<end_function_call>', false],
  [50, '<start_function_response>', true], [51, '<end_function_response>', false], [52, '<escape>', false],
  [105, '<start_of_turn>', true], [106, '<end_of_turn>', true],
]; // biome-ignore format: one line per group
const LONGEST_RUN = 31;
const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
/** Characters that have a token whether or not the corpus has them. */
const CHARACTERS = [
  ...Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i)),
  BLANK,
  ...'äöüßéèáàñçåøÄÖÜÉ€°',
];

/** Tokens before the learnt ones, in the order of their ids. */
function firstTokens() {
  const added = [];
  const named = new Map(NAMED.map(([id, content, special]) => [id, { content, special }]));
  let unused = 0;
  for (let id = 0; id <= 106; id++) added.push(named.get(id) ?? { content: `<unused${unused++}>`, special: false });
  for (let n = 1; n <= LONGEST_RUN; n++) added.push({ content: '\n'.repeat(n), special: false });
  for (let n = 2; n <= LONGEST_RUN; n++) added.push({ content: BLANK.repeat(n), special: false });
  return { added, tokens: [...added.map(({ content }) => content), ...BYTES, ...CHARACTERS] };
}

/**
 * Merges never cross from letters to other signs, digits stay single, and so does the blank: a word has the same tokens at the start
 * of an argument and inside a sentence, which makes copying an argument out of the request easy to learn.
 */
const CHUNK =
  /declaration:|:?\{description:|,type:|,parameters:\{properties:\{|,?required:\[|,enum:\[|\p{L}+|[^\p{L}\p{N}\s\u2581]+/gu;

/** Words that come up less often than this teach nothing: those of the corpus that are made up on the spot. */
const RARE = 5;

/** The most frequent pairs, merged one after another; ties go to the pair that sorts first. */
function learnMerges(texts, count) {
  const frequency = new Map();
  for (const text of texts)
    for (const [chunk] of text.matchAll(CHUNK)) frequency.set(chunk, (frequency.get(chunk) ?? 0) + 1);
  let words = Array.from(frequency, ([chunk, times]) => ({ parts: [...chunk], times })).filter(
    (w) => w.parts.length > 1 && w.times >= RARE,
  );
  const merges = [];
  while (merges.length < count) {
    const pairs = new Map();
    for (const { parts, times } of words)
      for (let i = 1; i < parts.length; i++) {
        const key = `${parts[i - 1]} ${parts[i]}`;
        pairs.set(key, (pairs.get(key) ?? 0) + times);
      }
    let best;
    for (const [key, times] of pairs)
      if (best === undefined || times > best.times || (times === best.times && key < best.key)) best = { key, times };
    if (best === undefined || best.times < 2) break;
    const [left, right] = best.key.split(' ');
    merges.push([left, right]);
    for (const word of words) word.parts = merged(word.parts, left, right);
    words = words.filter((w) => w.parts.length > 1);
  }
  return merges;
}

function merged(parts, left, right) {
  const result = [];
  for (let i = 0; i < parts.length; i++) {
    if (parts[i] === left && parts[i + 1] === right) {
      result.push(left + right);
      i++;
    } else result.push(parts[i]);
  }
  return result;
}

/**
 * @param texts what to learn from, special tokens already taken out
 * @param vocabSize tokens in all; ids that are not needed become `<unusedN>`
 */
export function trainTokenizer(texts, vocabSize) {
  const { added, tokens } = firstTokens();
  const merges = learnMerges(texts, vocabSize - tokens.length);
  // Two pairs may give the same token.
  const all = [...new Set([...tokens, ...merges.map(([left, right]) => left + right)])];
  const unused = added.filter(({ content }) => content.startsWith('<unused')).length;
  for (let i = unused; all.length < vocabSize; i++) {
    added.push({ content: `<unused${i}>`, special: false, id: all.length });
    all.push(`<unused${i}>`);
  }
  const bos = { SpecialToken: { id: '<bos>', type_id: 0 } };
  const part = (id, type_id) => ({ Sequence: { id, type_id } });
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added.map(({ content, special, id }, i) => ({
      id: id ?? i,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special,
    })),
    normalizer: { type: 'Replace', pattern: { String: ' ' }, content: BLANK },
    pre_tokenizer: { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false },
    post_processor: {
      type: 'TemplateProcessing',
      single: [bos, part('A', 0)],
      pair: [bos, part('A', 0), { SpecialToken: { id: '<bos>', type_id: 1 } }, part('B', 1)],
      special_tokens: { '<bos>': { id: '<bos>', ids: [2], tokens: ['<bos>'] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: BLANK }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<unk>',
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(all.map((token, id) => [token, id])),
      merges,
    },
  };
}

/** tokenizer_config.json. No chat template: a tokenizer with FunctionGemma's call tokens gets FunctionGemma's format. */
export const tokenizerConfig = {
  add_bos_token: true,
  add_eos_token: false,
  bos_token: '<bos>',
  clean_up_tokenization_spaces: false,
  eos_token: '<eos>',
  model_max_length: 2048,
  pad_token: '<pad>',
  sfr_token: '<start_function_response>',
  tokenizer_class: 'GemmaTokenizer',
  unk_token: '<unk>',
};
