import { expectArgument, expectOptions, InputError, isObject } from '@gemmatune/base';
import type { Message, Tool, ToolRow, TrainingRow } from '@gemmatune/schema';
import { parseTools } from '@gemmatune/schema';
import { renderSegments, renderToolRow, type Segment, type TargetFormat } from '@gemmatune/template';
import { type EncodedRow, IGNORE } from './batch.js';
import { eventLoopTurns } from './event-loop.js';
import { encodeSegments, type TextTokenizer } from './segments.js';

/** How conversations become text. FunctionGemma's own format by default. */
export interface Renderer {
  renderSegments(messages: Message[], tools: Tool[]): Segment[];
  renderToolRow(row: ToolRow, options: { format: TargetFormat }): Segment[];
}

/**
 * Which tokens are learnt. `full`: all of them. `completion`: the last answer. `assistant`: every answer. Rows without a prompt
 * ({text}, {input_ids} without labels) are always learnt in full, {input_ids, labels} by their labels.
 */
export type Loss = 'full' | 'completion' | 'assistant';

export interface EncodeOptions {
  tokenizer: TextTokenizer;
  renderer?: Renderer;
  /** `completion` by default, `full` with `compat: 'trl'`. */
  loss?: Loss;
  /** `native` by default. */
  format?: TargetFormat;
  /** Longest row in tokens. No limit by default. */
  maxLength?: number;
  /** Size of the model's embedding: ids outside it are refused. */
  vocabSize?: number;
  /**
   * As TRL does: text that begins with `<bos>` gets a second one, tool rows are text rows (with `<eos>` at the end), the prompt's
   * length alone marks the answer, and long rows are cut wherever the limit falls.
   */
  compat?: 'trl';
  eosToken?: string;
}

const OPTIONS: Record<keyof EncodeOptions, true> = {
  ...{ tokenizer: true, renderer: true, loss: true, format: true, maxLength: true, vocabSize: true },
  ...{ compat: true, eosToken: true },
};

/** A row to encode and its line in the file, for reports and errors. */
export interface NumberedRow {
  line: number;
  row: TrainingRow;
}

export interface EncodeReport {
  rows: number;
  kept: number;
  /** Lines of the rows longer than `maxLength`, kept or not. */
  tooLong: number[];
  /** Lines of the rows that were kept and cut at `maxLength`. */
  truncated: number[];
  /** Lines of the rows dropped because nothing to learn was left in them. */
  noTargets: number[];
  /** Over the kept rows. */
  tokens: number;
  targets: number;
}

export interface Encoded {
  rows: EncodedRow[];
  /** lines[i] is the line of rows[i]. */
  lines: number[];
  report: EncodeReport;
}

/**
 * Turns training rows into ids and labels.
 *
 * Rows longer than `maxLength` keep their start. An answer that the cut would end early is not learnt: a model trained on it learns
 * to stop in the middle of a call. Rows with nothing left to learn are dropped. Rows learnt in full are cut and kept.
 * @param where what to call the rows in an error, such as their file
 * @throws InputError naming the line of a row that cannot be encoded
 */
export async function encodeRows(
  rows: Iterable<NumberedRow> | AsyncIterable<NumberedRow>,
  options: EncodeOptions,
  where = '',
): Promise<Encoded> {
  const iterable = isObject(rows) || Array.isArray(rows);
  expectArgument('encodeRows', 'rows', rows, iterable, 'numbered rows, as readTrainingRows gives them');
  expectOptions('encodeRows', options, OPTIONS);
  const { tokenizer } = options;
  expectArgument('encodeRows', 'tokenizer', tokenizer, typeof tokenizer?.encode === 'function', 'a Tokenizer');
  const report = noneEncoded();
  const encoded: Encoded = { rows: [], lines: [], report };
  for await (const { line, row } of encodeEach(rows, options, where, report)) {
    encoded.rows.push(row);
    encoded.lines.push(line);
  }
  return encoded;
}

/** The rows that `encodeRows` keeps, one after another: none of them is held. `report` counts along. */
export async function* encodeEach(
  rows: Iterable<NumberedRow> | AsyncIterable<NumberedRow>,
  options: EncodeOptions,
  where: string,
  report = noneEncoded(),
): AsyncIterable<{ line: number; row: EncodedRow }> {
  const turn = eventLoopTurns();
  for await (const { line, row } of rows) {
    await turn();
    const whole = encodeRow(row, options, `${where} line ${line}`.trimStart());
    const fitted = fit(whole, options);
    const cut = fitted.inputIds.length < whole.inputIds.length;
    const targets = countTargets(fitted.labels);
    report.rows++;
    if (cut) report.tooLong.push(line);
    if (targets === 0) {
      report.noTargets.push(line);
      continue;
    }
    if (cut) report.truncated.push(line);
    report.kept++;
    report.tokens += fitted.inputIds.length;
    report.targets += targets;
    yield { line, row: fitted };
  }
}

function noneEncoded(): EncodeReport {
  return { rows: 0, kept: 0, tooLong: [], truncated: [], noTargets: [], tokens: 0, targets: 0 };
}

/**
 * One row as ids and labels, of whatever length.
 * @param where what to call the row in an error
 */
export function encodeRow(row: TrainingRow, options: EncodeOptions, where: string): EncodedRow {
  const encoded =
    'input_ids' in row ? given(row) : learn(segmentsOf(row, options, where), options, tokenizerRules(row, options));
  const { vocabSize } = options;
  const outside = vocabSize === undefined ? undefined : encoded.inputIds.find((id) => id < 0 || id >= vocabSize);
  if (outside !== undefined) {
    throw new InputError(
      `${where}: found the token id ${outside}, expected ids below the model's vocab_size ${vocabSize}.`,
    );
  }
  return encoded;
}

function given({ input_ids, labels }: { input_ids: number[]; labels?: number[] }): EncodedRow {
  const inputIds = Int32Array.from(input_ids);
  return { inputIds, labels: labels === undefined ? inputIds.slice() : Int32Array.from(labels) };
}

/** A row as text, marked by what is prompt and what is answer. Text that ends by itself gets `<eos>`; templates end their own turns. */
function segmentsOf(
  row: Exclude<TrainingRow, { input_ids: number[] }>,
  options: EncodeOptions,
  where: string,
): Segment[] {
  const { renderer = { renderSegments, renderToolRow }, compat, format = 'native', eosToken = '<eos>' } = options;
  const ended = (text: string) => (text.endsWith(eosToken) ? text : text + eosToken);
  if ('text' in row) return [{ role: 'answer', text: ended(row.text), turn: 0 }];
  if ('prompt' in row) {
    return [
      { role: 'prompt', text: row.prompt },
      { role: 'answer', text: ended(row.completion), turn: 0 },
    ];
  }
  const segments = rendered(where, () => {
    if (!('messages' in row)) return renderer.renderToolRow(row, { format });
    const tools = typeof row.tools === 'string' ? parseTools(row.tools, 'tools') : (row.tools ?? []);
    return renderer.renderSegments(row.messages, tools);
  });
  if ('messages' in row) return segments;
  if (format === 'native' && compat !== 'trl') return segments;
  const last = segments.at(-1)!;
  return [...segments.slice(0, -1), { ...last, text: ended(last.text) }];
}

function rendered(where: string, render: () => Segment[]): Segment[] {
  try {
    return render();
  } catch (error) {
    throw new InputError(`${where}: ${(error as Error).message}`, { cause: error });
  }
}

/** TRL tokenizes conversations through the chat template, without a second `<bos>`: its rules for text are for the other rows. */
function tokenizerRules(row: TrainingRow, { compat }: EncodeOptions): 'trl' | undefined {
  return 'messages' in row ? undefined : compat;
}

function learn(segments: Segment[], options: EncodeOptions, rules: 'trl' | undefined): EncodedRow {
  const { loss = options.compat === 'trl' ? 'full' : 'completion', tokenizer } = options;
  const { ids, ends } = encodeSegments(segments, tokenizer, rules);
  if (loss === 'full' || segments.every(({ role }) => role === 'answer')) return { inputIds: ids, labels: ids.slice() };
  const labels = new Int32Array(ids.length).fill(IGNORE);
  const lastAnswer = segments.findLastIndex(({ role }) => role === 'answer');
  for (const [i, { role }] of segments.entries()) {
    if (role !== 'answer' || (loss === 'completion' && i !== lastAnswer)) continue;
    const start = ends[i - 1] ?? 0;
    labels.set(ids.subarray(start, ends[i]), start);
  }
  return { inputIds: ids, labels };
}

/** The row within `maxLength`. */
function fit(row: EncodedRow, { maxLength = Number.POSITIVE_INFINITY, compat }: EncodeOptions): EncodedRow {
  if (row.inputIds.length <= maxLength) return row;
  const inputIds = row.inputIds.slice(0, maxLength);
  const labels = row.labels.slice(0, maxLength);
  const learntInFull = !row.labels.includes(IGNORE);
  if (compat !== 'trl' && !learntInFull && row.labels[maxLength] !== IGNORE) {
    // The limit falls inside an answer: its beginning is not learnt.
    const start = labels.lastIndexOf(IGNORE) + 1;
    labels.fill(IGNORE, start);
  }
  return { inputIds, labels };
}

/** Positions that are learnt. The first is never predicted, whatever its label. */
function countTargets(labels: Int32Array): number {
  return labels.subarray(1).reduce((count, label) => count + (label === IGNORE ? 0 : 1), 0);
}
