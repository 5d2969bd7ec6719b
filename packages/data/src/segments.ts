import type { Segment } from '@gemmatune/template';

/** The part of a tokenizer that encoding needs. */
export interface TextTokenizer {
  /** The ids of `text`; with `addSpecialTokens` as the model's tokenizer does by default, that is after `<bos>`. */
  encode(text: string, options: { addSpecialTokens: boolean }): Int32Array;
  /**
   * The ids of the texts joined and where each text ends among them, in one go; undefined where a token may lie across two texts. Only
   * for speed: without it, or where it does not know, the same comes of several calls of `encode`.
   */
  encodeParts?(
    texts: readonly string[],
    options: { addSpecialTokens: boolean },
  ): { ids: Int32Array; ends: number[] } | undefined;
}

const BOS = '<bos>';

/**
 * The ids of the segments' whole text and where each segment ends among them: segment i is ids[ends[i - 1] .. ends[i]).
 *
 * Ids are always those of the whole text. Where every boundary is also one between tokens, as special tokens make sure in
 * FunctionGemma's format, pieces encoded alone say where. A token across a boundary belongs to what comes after: an answer must
 * learn its first characters.
 * @param compat `trl`: `<bos>` is added even before text that begins with it, and a segment ends where its prefix, encoded alone,
 *   would, as in TRL's completion mask
 */
export function encodeSegments(
  segments: Segment[],
  tokenizer: TextTokenizer,
  compat?: 'trl',
): { ids: Int32Array; ends: number[] } {
  const texts = segments.map((segment) => segment.text);
  const text = texts.join('');
  const addSpecialTokens = compat === 'trl' || !text.startsWith(BOS);
  const parts = tokenizer.encodeParts?.(texts, { addSpecialTokens });
  if (parts !== undefined) return parts;
  const ids = tokenizer.encode(text, { addSpecialTokens });
  if (segments.length === 1) return { ids, ends: [ids.length] };

  const pieces = texts.map((piece, i) => tokenizer.encode(piece, { addSpecialTokens: addSpecialTokens && i === 0 }));
  if (equal(concatenated(pieces), ids)) {
    let end = 0;
    return { ids, ends: pieces.map((piece) => (end += piece.length)) };
  }
  let prefix = '';
  const ends = segments.map((segment, i) => {
    prefix += segment.text;
    if (i === segments.length - 1) return ids.length;
    const alone = tokenizer.encode(prefix, { addSpecialTokens });
    return Math.min(compat === 'trl' ? alone.length : commonPrefix(alone, ids), ids.length);
  });
  return { ids, ends };
}

function concatenated(pieces: Int32Array[]): Int32Array {
  const all = new Int32Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

function equal(a: Int32Array, b: Int32Array): boolean {
  return a.length === b.length && commonPrefix(a, b) === a.length;
}

function commonPrefix(a: Int32Array, b: Int32Array): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
