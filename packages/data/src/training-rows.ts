import { InputError } from '@gemmatune/base';
import { parseExample, toJson } from '@gemmatune/schema';
import type { NumberedRow } from './encode.js';
import { readRows } from './formats/index.js';

/**
 * The training rows of a file: any of the five shapes of `TrainingRow`.
 * @throws InputError naming the file and the line of the first row that is not one: training must not go on without rows it was given
 */
export async function* readTrainingRows(path: string): AsyncIterable<NumberedRow> {
  let rows = 0;
  const onMalformed = ({ line, reason }: { line: number; reason: string }) => {
    throw new InputError(`${path} line ${line}: ${reason}.`);
  };
  for await (const { line, value } of readRows(path, { onMalformed })) {
    rows++;
    yield { line, row: parseExample(toJson(value), `${path} line ${line}`) };
  }
  if (rows === 0) throw new InputError(`${path}: found no row, expected at least one.`);
}
