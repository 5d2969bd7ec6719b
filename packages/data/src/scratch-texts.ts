import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Texts } from './arrange.js';

/** Texts are written and read in pieces of about so many bytes. */
const PIECE = 1 << 20;
const NEWLINE = 0x0a;

/**
 * Texts in a file without a name: it is gone when it is closed, or when the process ends, however it ends. Memory holds 8 bytes a text
 * and one piece. Each text is kept as a line, so that lines can be copied without decoding them.
 */
export class ScratchTexts implements Texts, AsyncDisposable {
  readonly #file: FileHandle;
  /** Text i is the bytes from starts[i] to starts[i + 1], its newline included. */
  readonly #starts = [0];
  /** What is not on the disk yet, and where on it it begins. */
  readonly #piece = Buffer.allocUnsafe(PIECE);
  #pieceStart = 0;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** @param folder one that is there, on the disk that has room for the texts */
  static async open(folder: string): Promise<ScratchTexts> {
    const path = join(folder, `.rows.${process.pid}.tmp`);
    const file = await open(path, 'w+');
    await rm(path);
    return new ScratchTexts(file);
  }

  async add(text: string): Promise<void> {
    const bytes = Buffer.byteLength(text) + 1;
    if (this.#end - this.#pieceStart + bytes > PIECE) await this.#flush();
    if (bytes > PIECE) {
      await this.#write(Buffer.from(`${text}\n`));
      this.#pieceStart += bytes;
    } else {
      const at = this.#end - this.#pieceStart;
      this.#piece.write(text, at);
      this.#piece[at + bytes - 1] = NEWLINE;
    }
    this.#starts.push(this.#end + bytes);
  }

  async get(i: number): Promise<string> {
    await this.#flush();
    const text = Buffer.allocUnsafe(this.#bytes(i) - 1);
    await this.#read(text, this.#starts[i]!);
    return text.toString();
  }

  /** The lines of texts in any order, in pieces. A piece is valid until the next one is asked for. */
  async *lines(order: readonly number[]): AsyncIterable<Buffer> {
    await this.#flush();
    let room = Buffer.allocUnsafe(PIECE);
    for (let i = 0; i < order.length; ) {
      let filled = 0;
      const reads: Promise<void>[] = [];
      do {
        const bytes = this.#bytes(order[i]!);
        if (bytes > room.length) room = Buffer.allocUnsafe(bytes);
        reads.push(this.#read(room.subarray(filled, filled + bytes), this.#starts[order[i]!]!));
        filled += bytes;
        i++;
      } while (i < order.length && filled + this.#bytes(order[i]!) <= room.length);
      await Promise.all(reads);
      yield room.subarray(0, filled);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }

  get #end(): number {
    return this.#starts.at(-1)!;
  }

  #bytes(i: number): number {
    return this.#starts[i + 1]! - this.#starts[i]!;
  }

  async #flush(): Promise<void> {
    await this.#write(this.#piece.subarray(0, this.#end - this.#pieceStart));
    this.#pieceStart = this.#end;
  }

  async #write(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      at += (await this.#file.write(bytes, at, bytes.length - at, this.#pieceStart + at)).bytesWritten;
    }
  }

  async #read(into: Buffer, start: number): Promise<void> {
    for (let at = 0; at < into.length; ) {
      const { bytesRead } = await this.#file.read(into, at, into.length - at, start + at);
      if (bytesRead === 0)
        throw new Error(`The scratch file ends at byte ${start + at}, expected ${into.length} more.`);
      at += bytesRead;
    }
  }
}
