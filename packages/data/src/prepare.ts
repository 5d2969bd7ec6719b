import { expectArgument, expectOptions, InputError, isSystemError } from '@gemmatune/base';
import {
  type Arrangement,
  arrangeRows,
  MAX_NAMED,
  type PrepareOptions,
  type PrepareReport,
  type Texts,
} from './arrange.js';
import { type MalformedLine, readRows, type SourceRow } from './formats/index.js';

export type { Dropped, PrepareOptions, PrepareReport, SideReport } from './arrange.js';

const OPTIONS: Record<keyof PrepareOptions, true> = { seed: true, take: true, eval: true };

/** A row as `prepare` writes it. */
export interface PreparedRow {
  /** Where the source row is, counted as in `SourceRow`. */
  line: number;
  /** The row's exact JSON, one line: {user_content, tool_name, tool_arguments, hf_tools} or {messages, tools}. */
  json: string;
}

export interface Prepared {
  train: PreparedRow[];
  eval: PreparedRow[];
  report: PrepareReport;
}

/**
 * Shuffles, takes and splits the rows of a file and makes training rows of them: which rows end up where is the same as with
 * `datasets` (`shuffle(seed)`, `select`, then filter). Rows are made into training rows as they are read, so memory holds usable
 * rows only; `prepareFiles` holds none. Malformed lines are skipped before the shuffle and named in the report.
 * @param source a file (JSON lines, JSON, Parquet), or several that are read one after another
 * @throws InputError where a file cannot be read, no row is usable, or `eval` leaves nothing to train on
 */
export async function prepare(source: string | string[], options: PrepareOptions = {}): Promise<Prepared> {
  expectOptions('prepare', options, OPTIONS);
  const texts = new TextList();
  return inMemory(await arrangeFiles(source, options, texts), texts);
}

/** `arrangeRows` on files, with what is malformed in them. */
export async function arrangeFiles(
  source: string | string[],
  options: PrepareOptions,
  texts: Texts,
): Promise<Arrangement> {
  const files = typeof source === 'string' ? [source] : source;
  const paths = Array.isArray(files) && files.every((file) => typeof file === 'string');
  expectArgument('prepare', 'source', source, paths, 'the path of a file, or a list of paths');
  const malformed: PrepareReport['malformed'] = { count: 0, lines: [] };
  const onMalformed = (line: MalformedLine) => {
    malformed.count++;
    if (malformed.lines.length < MAX_NAMED) malformed.lines.push(line);
  };
  const arranged = await arrangeRows(readAll(files, onMalformed), options, files.join(', '), texts);
  arranged.report.source = files;
  arranged.report.malformed = malformed;
  return arranged;
}

async function* readAll(files: string[], onMalformed: (line: MalformedLine) => void): AsyncIterable<SourceRow> {
  for (const file of files) {
    try {
      yield* readRows(file, { onMalformed });
    } catch (error) {
      // The system's own refusals do not say where, and must not pass for those of the folder that is written to.
      if (!isSystemError(error)) throw error;
      throw new InputError(
        `${file}: reading stopped with ${error.code}, expected a file that can be read to its end.`,
        {
          cause: error,
        },
      );
    }
  }
}

class TextList implements Texts {
  readonly #texts: string[] = [];

  add(text: string): void {
    this.#texts.push(text);
  }

  get(i: number): string {
    return this.#texts[i]!;
  }
}

function inMemory({ train, eval: evaluation, lines, report }: Arrangement, texts: TextList): Prepared {
  const row = (i: number): PreparedRow => ({ line: lines[i]!, json: texts.get(i) });
  return { train: train.map(row), eval: evaluation.map(row), report };
}
