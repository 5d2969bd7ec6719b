import { type FileHandle, open } from 'node:fs/promises';
import { naming } from '@gemmatune/base';
import type { LogRow } from '@gemmatune/train';

/** Rows of log_history as JSON lines, each written when it happens: for programs that watch a run, and may end it early. */
export class LogFile implements AsyncDisposable {
  readonly #path: string;
  readonly #file: FileHandle;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  /**
   * @param again the run goes on: rows are added, and those after its checkpoint come a second time
   * @throws InputError naming the file where it cannot be written
   */
  static async open(path: string, again: boolean): Promise<LogFile> {
    return new LogFile(path, await naming(path, open(path, again ? 'a' : 'w')));
  }

  /** One write a row, so that a reader never sees half of one. */
  async put(row: LogRow): Promise<void> {
    await naming(this.#path, this.#file.appendFile(`${JSON.stringify(row)}\n`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}
