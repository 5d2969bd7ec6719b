import type { ExactObject } from '@gemmatune/schema';

/** One row of a file, before anything is made of it. */
export interface SourceRow {
  /** Where the row is: its line in a text file, its number in a Parquet file. Counts from 1. */
  line: number;
  /** The columns, exactly as written. */
  value: ExactObject;
}

/** A line that could not be read. It is reported and skipped. */
export interface MalformedLine {
  line: number;
  reason: string;
}

export interface ReadOptions {
  /** Called for each line that is not a JSON object; reading goes on. */
  onMalformed?: (malformed: MalformedLine) => void;
}

/** A file format rows can be read from. */
export interface Format {
  name: string;
  /** Whether a file is of this format, by its name and its first bytes. */
  detect(path: string, head: Buffer): boolean;
  /**
   * Reads all rows in order.
   * @throws InputError naming the file where the file as a whole cannot be read
   */
  read(path: string, options?: ReadOptions): AsyncIterable<SourceRow>;
}
