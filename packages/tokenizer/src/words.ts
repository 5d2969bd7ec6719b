import type { IdBuffer } from './id-buffer.js';

/** At most so many words are remembered; then all are forgotten. Slots: a power of two, at least twice as many. */
const WORDS = 100_000;
const SLOTS = 2 ** 18;

/**
 * The ids of words met before. Everything is in flat arrays: no word is made a string of its own, which would keep the text it was cut
 * from in memory, and nothing is left behind for the garbage collector.
 */
export class WordTable {
  /** Open addressing by hash: number of a word, or -1. */
  readonly #slots = new Int32Array(SLOTS).fill(-1);
  /** Word w has the units from unitStarts[w] to unitStarts[w + 1], the ids likewise. */
  readonly #unitStarts = new Int32Array(WORDS + 1);
  readonly #idStarts = new Int32Array(WORDS + 1);
  #units = new Uint16Array(2 ** 16);
  #ids = new Int32Array(2 ** 16);
  #count = 0;

  /** Number of the word that is `text` from `start` to `end`; where it is not known, -1 less the slot that `add` is to be given. */
  find(text: string, start: number, end: number): number {
    let hash = end - start;
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x9e3779b1);
    for (let slot = (hash ^ (hash >>> 15)) & (SLOTS - 1); ; slot = (slot + 1) & (SLOTS - 1)) {
      const word = this.#slots[slot]!;
      if (word < 0) return -1 - slot;
      if (this.#holds(word, text, start, end)) return word;
    }
  }

  #holds(word: number, text: string, start: number, end: number): boolean {
    let unit = this.#unitStarts[word]!;
    if (this.#unitStarts[word + 1]! - unit !== end - start) return false;
    for (let at = start; at < end; at++) if (this.#units[unit++] !== text.charCodeAt(at)) return false;
    return true;
  }

  /** Appends the ids of word number `word` to `out`. */
  copy(word: number, out: IdBuffer): void {
    const end = this.#idStarts[word + 1]!;
    for (let at = this.#idStarts[word]!; at < end; at++) out.push(this.#ids[at]!);
  }

  /** Remembers a word that `find` did not know. @param slot as told by `find` */
  add(slot: number, text: string, start: number, end: number, ids: readonly number[]): void {
    if (this.#count === WORDS) {
      this.#slots.fill(-1);
      this.#count = 0;
      slot = -1 - this.find(text, start, end);
    }
    const word = this.#count++;
    const unit = this.#unitStarts[word]!;
    const id = this.#idStarts[word]!;
    this.#unitStarts[word + 1] = unit + end - start;
    this.#idStarts[word + 1] = id + ids.length;
    if (unit + end - start > this.#units.length) this.#units = doubled(this.#units, Uint16Array);
    if (id + ids.length > this.#ids.length) this.#ids = doubled(this.#ids, Int32Array);
    for (let at = start; at < end; at++) this.#units[unit + at - start] = text.charCodeAt(at);
    this.#ids.set(ids, id);
    this.#slots[slot] = word;
  }
}

/** Twice the room is enough for one more word: words are far shorter than the arrays are from the start. */
function doubled<T extends Uint16Array | Int32Array>(array: T, Type: new (length: number) => T): T {
  const larger = new Type(array.length * 2);
  larger.set(array);
  return larger;
}
