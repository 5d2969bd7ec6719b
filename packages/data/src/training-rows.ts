import { type ExactJson, InputError, JsonNumber, parseExample } from '@gemmatune/schema';
import { parseExactJson, type TemplateValue } from '@gemmatune/template';
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
    yield { line, row: parseExample(templateValue(value), `${path} line ${line}`) };
  }
  if (rows === 0) throw new InputError(`${path}: found no row, expected at least one.`);
}

/** As plain JSON, but for numbers such as 20.0 that templates print differently from JavaScript: those keep their text. */
function templateValue(value: ExactJson): TemplateValue {
  if (value instanceof JsonNumber) return parseExactJson(value.text);
  if (Array.isArray(value)) return value.map(templateValue);
  if (value instanceof Map) {
    return Object.fromEntries(Array.from(value, ([key, item]) => [key, templateValue(item)]));
  }
  return value;
}
