/** A seeded stream of random choices: the same seed gives the same files on every machine. */
export class Random {
  #state;

  /** @param {number} seed */
  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** Uniform in [0, 1). Mulberry32 (Tommy Ettinger, public domain). */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /** A whole number from `from` to `to`, both included. @param {number} from @param {number} to */
  integer(from, to) {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  /** @param {number} probability */
  chance(probability) {
    return this.next() < probability;
  }

  /** @template Item @param {readonly Item[]} items */
  pick(items) {
    return items[this.integer(0, items.length - 1)];
  }

  /** @template Item @param {readonly Item[]} items */
  shuffle(items) {
    const result = [...items];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.integer(0, i);
      [result[i], result[j]] = [result[j], result[i]];
    }
    return result;
  }

  /** `count` different items. @template Item @param {readonly Item[]} items @param {number} count */
  sample(items, count) {
    return this.shuffle(items).slice(0, count);
  }
}
