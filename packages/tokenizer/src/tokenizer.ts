import { dirname } from 'node:path';
import { expectArgument } from '@gemmatune/base';
import { AddedTokens } from './added-tokens.js';
import { BytePairEncoder } from './bpe.js';
import { cacheFolder, readCachedTables, writeCachedTables } from './cache.js';
import { compileTables } from './definition.js';
import { findDefinition, hashOf, readJson, readSpecialNames, type SpecialNames } from './files.js';
import { IdBuffer } from './id-buffer.js';
import { ANY_UNIT, boundaryKey, type Tables, unitBefore } from './tables.js';

export interface LoadOptions {
  /** Folder of the compact cache; `$GEMMATUNE_CACHE`, `$XDG_CACHE_HOME/gemmatune` or `~/.cache/gemmatune` by default. */
  cacheFolder?: string;
}

export interface EncodeOptions {
  /**
   * Add what the post-processor adds, for Gemma one `<bos>` in front (default true, as in the Rust library).
   * A rendered chat template already starts with `<bos>`: encode it with `false`, or it gets two.
   */
  addSpecialTokens?: boolean;
}

export interface DecodeOptions {
  /** Leave out the tokens of `specialIds`. FunctionGemma's call tokens and `<escape>` are not among them. */
  skipSpecialTokens?: boolean;
}

const SPACE = 0x20;
const BLANK = 0x2581;
/** Stands for the unit before the first one. */
const NOTHING = -1;

/** Text to token ids and back, equal id for id to the Rust tokenizers on the same tokenizer.json. */
export class Tokenizer {
  /** Ids run from 0 to `vocabSize - 1`, added tokens included; a model's embedding may have fewer rows. */
  readonly vocabSize: number;
  /** Ids of the named tokens, undefined where the tokenizer has no such token. */
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly padId: number | undefined;
  /** Ids that `decode` can leave out. */
  readonly specialIds: ReadonlySet<number>;

  readonly #tables: Tables;
  readonly #added: AddedTokens;
  readonly #encoder: BytePairEncoder;
  readonly #crossings: ReadonlySet<number>;
  /** 1 for the units that come first in some crossing: nearly every place in a text is ruled out by this alone. */
  readonly #crossingStarts = new Uint8Array(0x10000);
  readonly #out = new IdBuffer();
  readonly #byteOfId: ReadonlyMap<number, number>;
  /** Text of each token as `decode` prints it, filled when first asked for. */
  readonly #printed: (string | undefined)[];
  readonly #idOf: Map<string, number>;
  #vocabularyIndexed = false;

  private constructor(tables: Tables, names: SpecialNames) {
    const { header } = tables;
    this.#tables = tables;
    this.#added = new AddedTokens(header.added);
    this.#encoder = new BytePairEncoder(tables);
    this.#crossings = new Set(header.crossings);
    for (const key of header.crossings) this.#crossingStarts[unitBefore(key)] = 1;
    this.#byteOfId = new Map(header.byteIds.map((id, byte) => [id, byte]));
    this.#idOf = new Map(header.added.map(({ content, id }) => [content, id]));
    this.vocabSize = header.size;
    this.#printed = new Array(header.size);
    this.specialIds = new Set(header.added.filter((token) => token.special).map((token) => token.id));
    this.bosId = this.#idOf.get(names.bos_token);
    this.eosId = this.#idOf.get(names.eos_token);
    this.padId = this.#idOf.get(names.pad_token);
  }

  /**
   * Reads a tokenizer.json (or tokenizer.json.gz), given as its path or as the folder it lies in. Names of the
   * special tokens come from tokenizer_config.json beside it, else they are `<bos>`, `<eos>` and `<pad>`.
   * The first load of a file compiles it (about a second for 262,144 tokens), later ones read the compiled cache.
   * @throws TokenizerFormatError for a file of another family or a damaged one
   */
  static async load(path: string, options: LoadOptions = {}): Promise<Tokenizer> {
    expectArgument(
      'Tokenizer.load',
      'path',
      path,
      typeof path === 'string',
      'the path of a tokenizer.json or its folder',
    );
    const file = await findDefinition(path);
    const names = await readSpecialNames(dirname(file));
    const folder = cacheFolder(options.cacheFolder);
    const sha256 = await hashOf(file);
    let tables = await readCachedTables(folder, sha256);
    if (!tables) {
      tables = compileTables(await readJson(file), file);
      await writeCachedTables(folder, sha256, tables);
    }
    return new Tokenizer(tables, names);
  }

  /** Ids of `text`. Lone surrogates count as U+FFFD. */
  encode(text: string, { addSpecialTokens = true }: EncodeOptions = {}): Int32Array {
    expectArgument('encode', 'text', text, typeof text === 'string', 'a text');
    const { prefixIds, suffixIds } = this.#tables.header;
    const out = this.#out;
    out.length = 0;
    if (addSpecialTokens) for (const id of prefixIds) out.push(id);
    this.#encode(text.toWellFormed(), out);
    if (addSpecialTokens) for (const id of suffixIds) out.push(id);
    return out.toIds();
  }

  /**
   * Ids of the texts joined, and where each text ends among them: text i is ids[ends[i - 1] .. ends[i]). undefined unless an added token
   * begins or ends wherever two texts meet: elsewhere a token may lie across.
   */
  encodeParts(
    texts: readonly string[],
    { addSpecialTokens = true }: EncodeOptions = {},
  ): { ids: Int32Array; ends: number[] } | undefined {
    const { prefixIds, suffixIds } = this.#tables.header;
    if (addSpecialTokens && suffixIds.length > 0) return undefined;
    const out = this.#out;
    out.length = 0;
    if (addSpecialTokens) for (const id of prefixIds) out.push(id);
    let length = 0;
    const marks = texts.map((text) => (length += text.length));
    const ends = this.#encode(texts.join('').toWellFormed(), out, marks);
    return ends.length === texts.length ? { ids: out.toIds(), ends } : undefined;
  }

  /**
   * Added tokens are cut out first. The text between them is cut before each blank that follows another character, where no merge can
   * cross; see definition.ts.
   * @param marks places in the text, ascending
   * @returns ids in `out` at each mark, up to the first mark that is not an end of the text or of an added token
   */
  #encode(text: string, out: IdBuffer, marks: readonly number[] = []): number[] {
    const ends: number[] = [];
    const cut = (at: number) => {
      while (marks[ends.length] === at) ends.push(out.length);
    };
    let wordStart = 0;
    let before = NOTHING;
    cut(0);
    for (let at = 0; at < text.length; ) {
      const unit = text.charCodeAt(at);
      const token = this.#added.longestAt(text, at, unit);
      if (token !== undefined) {
        if (wordStart < at) this.#encoder.encode(text, wordStart, at, out);
        cut(at);
        out.push(token.id);
        at += token.content.length;
        wordStart = at;
        before = NOTHING;
        cut(at);
        continue;
      }
      const normalized = unit === SPACE ? BLANK : unit;
      if (normalized === BLANK && before !== BLANK && before !== NOTHING && !this.#mayCross(before, text, at + 1)) {
        this.#encoder.encode(text, wordStart, at, out);
        wordStart = at;
      }
      before = normalized;
      at++;
    }
    if (wordStart < text.length) this.#encoder.encode(text, wordStart, text.length, out);
    cut(text.length);
    return ends;
  }

  /** Whether a merge may join `before`, a blank, and what is at `next`. */
  #mayCross(before: number, text: string, next: number): boolean {
    if (this.#crossingStarts[before] === 0) return false;
    if (this.#crossings.has(boundaryKey(before, ANY_UNIT))) return true;
    if (next === text.length || this.#added.longestAt(text, next, text.charCodeAt(next)) !== undefined) return false;
    const after = text.charCodeAt(next);
    return this.#crossings.has(boundaryKey(before, after === SPACE ? BLANK : after));
  }

  /**
   * Text of `ids`. As in the Rust library ▁ prints as a space, and a run of byte tokens that is not UTF-8 prints
   * as one U+FFFD per byte.
   * @throws InputError for an id that is no token
   */
  decode(ids: Iterable<number>, { skipSpecialTokens = false }: DecodeOptions = {}): string {
    let text = '';
    let bytes: number[] = [];
    const endBytes = () => {
      if (bytes.length > 0) text += textOfBytes(bytes);
      bytes = [];
    };
    for (const id of ids) {
      const printed = this.#printed[id] ?? this.tokenOf(id).replaceAll('\u2581', ' ');
      this.#printed[id] = printed;
      if (skipSpecialTokens && this.specialIds.has(id)) continue;
      const byte = this.#byteOfId.get(id);
      if (byte !== undefined) bytes.push(byte);
      else {
        endBytes();
        text += printed;
      }
    }
    endBytes();
    return text;
  }

  /** Id of the token with exactly this text (▁ for a blank), undefined if there is none. */
  idOf(token: string): number | undefined {
    const id = this.#idOf.get(token);
    if (id !== undefined || this.#vocabularyIndexed) return id;
    // Added tokens answer nearly every question; the whole vocabulary is indexed when something else is asked for.
    for (let other = 0; other < this.vocabSize; other++) {
      const text = this.#textOf(other);
      if (text !== '' && !this.#idOf.has(text)) this.#idOf.set(text, other);
    }
    this.#vocabularyIndexed = true;
    return this.#idOf.get(token);
  }

  /**
   * The token with this id as the vocabulary writes it (▁ for a blank).
   * @throws RangeError for an id that is no token
   */
  tokenOf(id: number): string {
    const token = Number.isInteger(id) && id >= 0 && id < this.vocabSize ? this.#textOf(id) : '';
    expectArgument('tokenOf', 'id', id, token !== '', `the id of a token, from 0 to ${this.vocabSize - 1}`);
    return token;
  }

  #textOf(id: number): string {
    const { tokenBytes, tokenOffsets } = this.#tables;
    return UTF8.decode(tokenBytes.subarray(tokenOffsets[id], tokenOffsets[id + 1]));
  }
}

const UTF8 = new TextDecoder('utf-8', { ignoreBOM: true });
const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOfBytes(bytes: number[]): string {
  try {
    return STRICT_UTF8.decode(Uint8Array.from(bytes));
  } catch {
    return '\ufffd'.repeat(bytes.length);
  }
}
