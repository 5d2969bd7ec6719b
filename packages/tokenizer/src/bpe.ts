/**
 * Byte-pair merging over integer ids.
 *
 * The rule (Sennrich et al. 2016, in the form of the Rust tokenizers): start from single characters, characters
 * outside the vocabulary as their UTF-8 byte tokens; again and again join the adjacent pair of lowest rank, the
 * leftmost first among equals. A heap of (rank, position) finds that pair in O(log n).
 */
import type { IdBuffer } from './id-buffer.js';
import { pairSlot, type Tables } from './tables.js';
import { WordTable } from './words.js';

const BLANK = 0x2581;
const SPACE = 0x20;
/** Words longer than this are not worth remembering. */
const REMEMBERED_LENGTH = 64;
/** A heap entry is rank * 2^32 + position: exact in a double up to 2^21 merges. */
const RANK_UNIT = 2 ** 32;

export class BytePairEncoder {
  readonly #tables: Tables;
  /** Id of each character of the basic plane, -1 where it has none; others are in `#astral`. */
  readonly #characterIds = new Int32Array(0x10000).fill(-1);
  readonly #astral = new Map<number, number>();
  readonly #words = new WordTable();

  // Symbols of the word at hand form a doubly linked list over positions; -1 ends it. A merged-away symbol has id -1.
  #ids = new Int32Array(0);
  #next = new Int32Array(0);
  #previous = new Int32Array(0);
  #heap = new Float64Array(0);
  #heapSize = 0;

  constructor(tables: Tables) {
    this.#tables = tables;
    const { characters } = tables;
    for (let i = 0; i < characters.length; i += 2) {
      const codePoint = characters[i]!;
      if (codePoint <= 0xffff) this.#characterIds[codePoint] = characters[i + 1]!;
      else this.#astral.set(codePoint, characters[i + 1]!);
    }
    // The normalizer writes a space as ▁.
    this.#characterIds[SPACE] = this.#characterIds[BLANK]!;
    this.#reserve(256);
  }

  /** Appends the ids of the word that is `text` from `start` to `end`, well-formed, whose spaces stand for ▁, to `out`. */
  encode(text: string, start: number, end: number, out: IdBuffer): void {
    if (end - start > REMEMBERED_LENGTH) {
      for (const id of this.#merge(text.slice(start, end))) out.push(id);
      return;
    }
    const known = this.#words.find(text, start, end);
    if (known >= 0) this.#words.copy(known, out);
    else {
      const ids = this.#merge(text.slice(start, end));
      this.#words.add(-1 - known, text, start, end, ids);
      for (const id of ids) out.push(id);
    }
  }

  #merge(word: string): number[] {
    const count = this.#split(word);
    const ids = this.#ids;
    const next = this.#next;
    const previous = this.#previous;
    this.#heapSize = 0;
    for (let at = 0; at + 1 < count; at++) this.#propose(at);

    while (this.#heapSize > 0) {
      const entry = this.#pop();
      const rank = Math.floor(entry / RANK_UNIT);
      const at = entry - rank * RANK_UNIT;
      const taken = next[at]!;
      // The entry is stale when either symbol has been merged since.
      if (taken < 0 || ids[at] !== this.#tables.mergeLeft[rank] || ids[taken] !== this.#tables.mergeRight[rank])
        continue;
      ids[at] = this.#tables.mergeResult[rank]!;
      ids[taken] = -1;
      next[at] = next[taken]!;
      if (next[at]! >= 0) previous[next[at]!] = at;
      if (previous[at]! >= 0) this.#propose(previous[at]!);
      this.#propose(at);
    }

    const merged: number[] = [];
    for (let at = count > 0 ? 0 : -1; at >= 0; at = next[at]!) merged.push(ids[at]!);
    return merged;
  }

  /** Fills the list with the word's characters, or their bytes; returns how many symbols these are. */
  #split(word: string): number {
    this.#reserve(word.length * 3);
    let count = 0;
    for (let i = 0; i < word.length; i++) {
      const codePoint = word.codePointAt(i)!;
      if (codePoint > 0xffff) i++;
      const id = codePoint > 0xffff ? (this.#astral.get(codePoint) ?? -1) : this.#characterIds[codePoint]!;
      if (id >= 0) this.#ids[count++] = id;
      else {
        const character = String.fromCodePoint(codePoint === SPACE ? BLANK : codePoint);
        for (const byte of Buffer.from(character)) this.#ids[count++] = this.#tables.header.byteIds[byte]!;
      }
    }
    for (let at = 0; at < count; at++) {
      this.#next[at] = at + 1 < count ? at + 1 : -1;
      this.#previous[at] = at - 1;
    }
    return count;
  }

  #reserve(symbols: number): void {
    if (symbols <= this.#ids.length) return;
    const capacity = Math.max(symbols, this.#ids.length * 2);
    this.#ids = new Int32Array(capacity);
    this.#next = new Int32Array(capacity);
    this.#previous = new Int32Array(capacity);
    // One entry per first pair, at most two more per merge.
    this.#heap = new Float64Array(capacity * 3);
  }

  /** Puts the pair that starts at `at` on the heap if a merge joins it. */
  #propose(at: number): void {
    const following = this.#next[at]!;
    if (following < 0) return;
    const rank = this.#rankOf(this.#ids[at]!, this.#ids[following]!);
    if (rank >= 0) this.#push(rank * RANK_UNIT + at);
  }

  #rankOf(left: number, right: number): number {
    const { slots, mergeLeft, mergeRight } = this.#tables;
    const mask = slots.length - 1;
    for (let slot = pairSlot(left, right, mask); ; slot = (slot + 1) & mask) {
      const rank = slots[slot]!;
      if (rank < 0 || (mergeLeft[rank] === left && mergeRight[rank] === right)) return rank;
    }
  }

  #push(entry: number): void {
    const heap = this.#heap;
    let at = this.#heapSize++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]! <= entry) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): number {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap[--this.#heapSize]!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#heapSize) break;
      if (child + 1 < this.#heapSize && heap[child + 1]! < heap[child]!) child++;
      if (heap[child]! >= last) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}
