/**
 * Which tokenizer.json files are understood, and their translation to tables.
 *
 * The family is that of Gemma 3: BPE with byte fallback, blanks written as ▁ (U+2581), a Split on " " that never
 * fires after that, `<bos>` from a template post-processor. Anything else is refused by name, because a tokenizer
 * that is nearly right trains a model that is wrong.
 */
import { GemmatuneError, shown } from '@gemmatune/base';
import { type AddedToken, ANY_UNIT, boundaryKey, pairSlot, type Tables } from './tables.js';

/** The tokenizer.json is not of the family this package reads, or is damaged. */
export class TokenizerFormatError extends GemmatuneError<'ERR_GEMMATUNE_TOKENIZER'> {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_GEMMATUNE_TOKENIZER', message, options);
  }
}

const BLANK = '\u2581';
const NORMALIZER = { type: 'Replace', pattern: { String: ' ' }, content: BLANK };
const PRE_TOKENIZER = { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false };
const DECODER = {
  type: 'Sequence',
  decoders: [{ type: 'Replace', pattern: { String: BLANK }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }],
};
/** Fields of `model` that change the ids, with the one value understood (`null` also stands for an absent field). */
const MODEL = {
  type: 'BPE',
  byte_fallback: true,
  ignore_merges: false,
  dropout: null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
};

type Dict = Record<string, unknown>;

/**
 * Tables of a parsed tokenizer.json. `truncation` and `padding` are ignored: length limits belong to the caller.
 * @param where names the file in errors
 */
export function compileTables(json: unknown, where: string): Tables {
  const refuse = (field: string, found: unknown, expected: string): never => {
    throw new TokenizerFormatError(
      `${where}: ${field} is ${shown(found)}, expected ${expected}; only tokenizers of the Gemma 3 family are read.`,
    );
  };
  const requireSame = (field: string, found: unknown, expected: unknown) => {
    if (!sameJson(found, expected)) refuse(field, found, shown(expected));
  };
  const dictAt = (field: string, found: unknown): Dict =>
    typeof found === 'object' && found !== null && !Array.isArray(found)
      ? (found as Dict)
      : refuse(field, found, 'an object');
  const listAt = (field: string, found: unknown): unknown[] =>
    Array.isArray(found) ? found : refuse(field, found, 'a list');

  const root = dictAt('the file', json);
  const model = dictAt('model', root.model);
  requireSame('normalizer', root.normalizer, NORMALIZER);
  if (root.pre_tokenizer != null) requireSame('pre_tokenizer', root.pre_tokenizer, PRE_TOKENIZER);
  requireSame('decoder', root.decoder, DECODER);
  for (const [name, expected] of Object.entries(MODEL)) {
    // Older files write absent affixes as "", and leave ignore_merges out.
    const found = model[name] === '' ? null : (model[name] ?? (name === 'ignore_merges' ? false : null));
    requireSame(`model.${name}`, found, expected);
  }

  const ids = new Map<string, number>();
  for (const [token, id] of Object.entries(dictAt('model.vocab', model.vocab))) {
    if (!Number.isInteger(id) || (id as number) < 0) refuse(`model.vocab[${JSON.stringify(token)}]`, id, 'an id');
    ids.set(token, id as number);
  }
  const added = listAt('added_tokens', root.added_tokens).map((entry, index): AddedToken => {
    const { id, content, special, ...flags } = dictAt(`added_tokens[${index}]`, entry);
    if (typeof content !== 'string' || content === '') refuse(`added_tokens[${index}].content`, content, 'a text');
    if (!Number.isInteger(id) || (id as number) < 0) refuse(`added_tokens[${index}].id`, id, 'an id');
    for (const flag of ['normalized', 'lstrip', 'rstrip', 'single_word']) {
      if (flags[flag]) refuse(`added_tokens[${index}].${flag} (token ${content})`, true, 'false');
    }
    const inVocabulary = ids.get(content as string);
    if (inVocabulary !== undefined && inVocabulary !== id) {
      refuse(`added_tokens[${index}].id (token ${content})`, id, `${inVocabulary} as in model.vocab`);
    }
    return { id: id as number, content: content as string, special: special === true };
  });
  const byteIds = Array.from({ length: 256 }, (_, byte) => {
    const token = `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
    return (
      ids.get(token) ?? refuse(`model.vocab[${JSON.stringify(token)}]`, undefined, 'an id (byte_fallback needs it)')
    );
  });

  const tokens = [...ids, ...added.map(({ content, id }) => [content, id] as const)];
  const size = tokens.reduce((largest, [, id]) => Math.max(largest, id + 1), 0);
  const merges = compileMerges(listAt('model.merges', model.merges), ids, refuse);
  return {
    header: { size, added, byteIds, crossings: merges.crossings, ...templateIds(root.post_processor, refuse) },
    ...compileTokens(tokens, size, refuse),
    characters: Int32Array.from(
      [...ids].flatMap(([token, id]) => (isOneCharacter(token) ? [token.codePointAt(0)!, id] : [])),
    ),
    mergeLeft: merges.left,
    mergeRight: merges.right,
    mergeResult: merges.result,
    slots: merges.slots,
  };
}

type Refuse = (field: string, found: unknown, expected: string) => never;

/** Ids before and after a text. The `pair` template is not read: two texts are never encoded together here. */
function templateIds(processor: unknown, refuse: Refuse): { prefixIds: number[]; suffixIds: number[] } {
  const prefixIds: number[] = [];
  const suffixIds: number[] = [];
  if (processor == null) return { prefixIds, suffixIds };
  const { type, single, special_tokens } = processor as {
    type?: unknown;
    single?: { SpecialToken?: { id: string }; Sequence?: { id: string } }[];
    special_tokens?: Record<string, { ids: number[] }>;
  };
  if (type !== 'TemplateProcessing' || !Array.isArray(single))
    refuse('post_processor.type', type, '"TemplateProcessing" or null');
  let target = prefixIds;
  for (const piece of single!) {
    if (piece.Sequence) {
      if (target === suffixIds) refuse('post_processor.single', single, 'the text exactly once');
      target = suffixIds;
      continue;
    }
    const name = piece.SpecialToken?.id ?? '';
    target.push(
      ...(special_tokens?.[name]?.ids ??
        refuse(`post_processor.special_tokens[${JSON.stringify(name)}]`, undefined, 'its ids')),
    );
  }
  if (target === prefixIds) refuse('post_processor.single', single, 'the text exactly once');
  return { prefixIds, suffixIds };
}

function compileTokens(
  tokens: (readonly [string, number])[],
  size: number,
  refuse: Refuse,
): Pick<Tables, 'tokenBytes' | 'tokenOffsets'> {
  const byId: string[] = new Array(size).fill('');
  for (const [token, id] of tokens) {
    if (byId[id] !== '' && byId[id] !== token) {
      refuse(`the id of token ${JSON.stringify(token)}`, id, `an id of its own (${JSON.stringify(byId[id])} has it)`);
    }
    byId[id] = token;
  }
  const tokenOffsets = new Int32Array(size + 1);
  for (let id = 0; id < size; id++) tokenOffsets[id + 1] = tokenOffsets[id]! + Buffer.byteLength(byId[id]!);
  return { tokenBytes: new TextEncoder().encode(byId.join('')), tokenOffsets };
}

function compileMerges(merges: unknown[], ids: Map<string, number>, refuse: Refuse) {
  const left = new Int32Array(merges.length);
  const right = new Int32Array(merges.length);
  const result = new Int32Array(merges.length);
  const slots = new Int32Array(2 ** Math.ceil(Math.log2(Math.max(2, merges.length * 2)))).fill(-1);
  const crossings = new Set<number>();

  for (let rank = 0; rank < merges.length; rank++) {
    // Written as ["a", "b"] since tokenizers 0.20, as "a b" before.
    const merge = merges[rank];
    const pair: unknown = typeof merge === 'string' ? merge.split(' ') : merge;
    if (!Array.isArray(pair) || pair.length !== 2) refuse(`model.merges[${rank}]`, merge, 'two tokens');
    const [a, b] = pair as [string, string];
    const idOf = (token: string) =>
      ids.get(token) ??
      refuse(`model.merges[${rank}]`, merge, `tokens of model.vocab (${JSON.stringify(token)} is not)`);
    left[rank] = idOf(a);
    right[rank] = idOf(b);
    result[rank] = idOf(a + b);

    let slot = pairSlot(left[rank]!, right[rank]!, slots.length - 1);
    while (slots[slot] !== -1) {
      const other = slots[slot]!;
      if (left[other] === left[rank] && right[other] === right[rank]) break; // a repeated pair: the later rank counts
      slot = (slot + 1) & (slots.length - 1);
    }
    slots[slot] = rank;
    addCrossings(a + b, crossings);
  }
  return { left, right, result, slots, crossings: [...crossings] };
}

/**
 * The encoder cuts text into words before each ▁ that follows another character. That is exact unless a merge makes
 * a token that spans such a boundary; the boundaries of those tokens are noted here and never cut.
 */
function addCrossings(token: string, crossings: Set<number>): void {
  for (let at = token.indexOf(BLANK, 1); at > 0; at = token.indexOf(BLANK, at + 1)) {
    if (token[at - 1] === BLANK) continue;
    const after = at + 1 < token.length ? token.charCodeAt(at + 1) : ANY_UNIT;
    crossings.add(boundaryKey(token.charCodeAt(at - 1), after));
  }
}

function isOneCharacter(token: string): boolean {
  return token.length > 0 && token.length === (token.codePointAt(0)! > 0xffff ? 2 : 1);
}

function sameJson(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  const keys = Object.keys(b);
  return Object.keys(a).length === keys.length && keys.every((key) => sameJson((a as Dict)[key], (b as Dict)[key]));
}
