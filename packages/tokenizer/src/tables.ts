/**
 * The compact form of a tokenizer.json: integer tables that are ready to use, and their one-file binary layout.
 *
 * Layout (native byte order, written and read on one machine): magic, version, byte length of the header text,
 * then the header as JSON padded to 4 bytes, then each section of `SECTIONS` in order, each padded to 4 bytes.
 */

/** An added token: matched in the raw text before anything else, longest first. */
export interface AddedToken {
  id: number;
  content: string;
  /** Left out by `decode(ids, { skipSpecialTokens: true })`. */
  special: boolean;
}

/** The small parts of the tables, which JSON holds well. */
interface Header {
  /** Ids run from 0 to `size - 1`, added tokens included. */
  size: number;
  added: AddedToken[];
  /** Id of the token that stands for byte b, 256 of them. */
  byteIds: number[];
  /** What the post-processor puts before and after a text. */
  prefixIds: number[];
  suffixIds: number[];
  /** Word boundaries that a merge may cross, see `boundaryKey`. */
  crossings: number[];
}

/** Everything encode and decode need. M merges, S slots (a power of two, at least 2 M). */
export interface Tables {
  header: Header;
  /** UTF-8 of all tokens in id order; token i is `[tokenOffsets[i], tokenOffsets[i + 1])`, empty where no token has this id. */
  tokenBytes: Uint8Array;
  tokenOffsets: Int32Array;
  /** Pairs (code point, id) of the tokens that are one character. */
  characters: Int32Array;
  /** Merge of rank r joins `mergeLeft[r]` and `mergeRight[r]` to `mergeResult[r]`; [M] each. */
  mergeLeft: Int32Array;
  mergeRight: Int32Array;
  mergeResult: Int32Array;
  /** Open-addressing hash table over (left, right): rank, or -1 for a free slot; [S]. */
  slots: Int32Array;
}

/** First slot to look at for a pair; the next ones follow by + 1. */
export function pairSlot(left: number, right: number, mask: number): number {
  const hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
  return (hash ^ (hash >>> 15)) & mask;
}

/** Key of a word boundary: the UTF-16 unit before the blank and the one after it, `ANY_UNIT` for no matter which. */
export const ANY_UNIT = 0;
export function boundaryKey(before: number, after: number): number {
  return before * 0x10000 + after;
}

/** The unit before the blank of a boundary. */
export function unitBefore(boundary: number): number {
  return Math.floor(boundary / 0x10000);
}

const MAGIC = 0x4b544d47;
/** Raise it whenever the layout or the meaning of a section changes: older cache files are then rebuilt. */
export const TABLES_VERSION = 1;
const SECTIONS = [
  'tokenBytes',
  'tokenOffsets',
  'characters',
  'mergeLeft',
  'mergeRight',
  'mergeResult',
  'slots',
] as const;

const padded = (bytes: number) => (bytes + 3) & ~3;

/** The tables as the parts of one file. */
export function packTables(tables: Tables): Uint8Array[] {
  const lengths = SECTIONS.map((name) => tables[name].byteLength);
  const header = new TextEncoder().encode(JSON.stringify({ header: tables.header, lengths }));
  const parts = [new Uint8Array(new Int32Array([MAGIC, TABLES_VERSION, header.length]).buffer), withPadding(header)];
  for (const name of SECTIONS) {
    const { buffer, byteOffset, byteLength } = tables[name];
    parts.push(withPadding(new Uint8Array(buffer, byteOffset, byteLength)));
  }
  return parts;
}

function withPadding(bytes: Uint8Array): Uint8Array {
  if (bytes.length % 4 === 0) return bytes;
  const copy = new Uint8Array(padded(bytes.length));
  copy.set(bytes);
  return copy;
}

/** The tables in a packed file, as views into it; undefined where the file is of another version, cut short or no such file. */
export function unpackTables(file: ArrayBuffer): Tables | undefined {
  if (file.byteLength < 12) return undefined;
  const [magic, version, headerLength] = new Int32Array(file, 0, 3) as unknown as [number, number, number];
  if (magic !== MAGIC || version !== TABLES_VERSION || file.byteLength < 12 + padded(headerLength)) return undefined;
  const { header, lengths } = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 12, headerLength))) as {
    header: Header;
    lengths: number[];
  };
  let offset = 12 + padded(headerLength);
  const total = lengths.reduce((sum, bytes) => sum + padded(bytes), offset);
  if (file.byteLength !== total) return undefined;

  const nextSection = (index: number) => {
    const view = { offset, bytes: lengths[index]! };
    offset += padded(view.bytes);
    return view;
  };
  const text = nextSection(0);
  const integers = (index: number) => {
    const view = nextSection(index);
    return new Int32Array(file, view.offset, view.bytes / 4);
  };
  return {
    header,
    tokenBytes: new Uint8Array(file, text.offset, text.bytes),
    tokenOffsets: integers(1),
    characters: integers(2),
    mergeLeft: integers(3),
    mergeRight: integers(4),
    mergeResult: integers(5),
    slots: integers(6),
  };
}
