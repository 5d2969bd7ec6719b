/** A growing list of ids. */
export class IdBuffer {
  #data = new Int32Array(1024);
  length = 0;

  push(id: number): void {
    if (this.length === this.#data.length) {
      const larger = new Int32Array(this.#data.length * 2);
      larger.set(this.#data);
      this.#data = larger;
    }
    this.#data[this.length++] = id;
  }

  /** A copy of the ids so far. */
  toIds(): Int32Array {
    return this.#data.slice(0, this.length);
  }
}
