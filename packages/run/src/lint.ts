/** What is wrong with rows, before any time is spent on training with them. */
import { type EncodeOptions, encodeRow, IGNORE, readRows } from '@gemmatune/data';
import { judge, METRICS, type Prediction, questionOf } from '@gemmatune/eval';
import { parseExample, type Tool, type ToolRow, type TrainingRow, toJson } from '@gemmatune/schema';
import { renderToolRow, type TargetFormat, templateWarnings, toolRowMessages } from '@gemmatune/template';

/** Every kind of problem, as it is told. */
export const PROBLEMS = {
  malformed_line: 'is no JSON object',
  unreadable_row: 'is no training row',
  cannot_encode: 'cannot be rendered or encoded',
  template_warning: 'renders into a prompt the model was never trained on',
  too_long: 'is longer than max-length',
  answer_cut: 'loses a part of its answer at max-length',
  nothing_to_learn: 'has no token to learn',
  double_bos: 'begins with two <bos>',
  duplicate: 'is the same as an earlier row',
  in_evaluation: 'is also in the evaluation file',
  unknown_tool: 'calls a tool that it does not offer',
  missing_argument: 'lacks an argument that its tool requires',
  invalid_arguments: "has arguments that its tool's schema refuses",
  unreadable_call: 'has a call that cannot be read back from its text',
} as const;
type ProblemKind = keyof typeof PROBLEMS;

interface Problem {
  kind: ProblemKind;
  /** Rows that have it, each counted once. */
  count: number;
  lines: number[];
  /** What exactly, of the first such row. */
  example: string;
}

export interface LintReport {
  rows: number;
  problems: Problem[];
}

/** What lint needs to know of the training to come. */
export type LintOptions = EncodeOptions & { format: TargetFormat; maxLength: number };

/** Counts the problems of a file's rows. `evaluation`: rows (as `rowKey` gives them) that must not be among them. */
export async function lintRows(
  path: string,
  options: LintOptions,
  evaluation: ReadonlySet<string>,
): Promise<LintReport> {
  const found = new Map<ProblemKind, Problem>();
  const seen = new Map<string, number>();
  let rows = 0;
  const add = (line: number, kind: ProblemKind, example: string) => {
    const problem = found.get(kind) ?? { kind, count: 0, lines: [], example };
    if (problem.lines.at(-1) === line) return;
    problem.count++;
    problem.lines.push(line);
    found.set(kind, problem);
  };
  for await (const { line, value } of lintableRows(path, (where, reason) => add(where, 'malformed_line', reason))) {
    rows++;
    if (value instanceof Error) {
      add(line, 'unreadable_row', value.message);
      continue;
    }
    const key = rowKey(value);
    const earlier = seen.get(key);
    if (earlier !== undefined) add(line, 'duplicate', `line ${earlier} has it first`);
    else seen.set(key, line);
    if (evaluation.has(key)) add(line, 'in_evaluation', 'training on it makes the evaluation worthless');
    for (const [kind, example] of rowProblems(value, options)) add(line, kind, example);
  }
  const order = Object.keys(PROBLEMS);
  return { rows, problems: [...found.values()].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind)) };
}

/** The rows of a file, one that is no training row as the error that says why: one bad row must not hide the others. */
export async function* lintableRows(
  path: string,
  onMalformed: (line: number, reason: string) => void,
): AsyncIterable<{ line: number; value: TrainingRow | Error }> {
  for await (const { line, value } of readRows(path, {
    onMalformed: ({ line: at, reason }) => onMalformed(at, reason),
  })) {
    try {
      yield { line, value: parseExample(toJson(value), `line ${line}`) };
    } catch (error) {
      yield { line, value: error as Error };
    }
  }
}

/** A row as one text, equal for equal rows. */
export const rowKey = (row: TrainingRow): string => JSON.stringify(row);

function* rowProblems(row: TrainingRow, options: LintOptions): Iterable<[ProblemKind, string]> {
  if ('tool_name' in row) {
    for (const warning of templateWarnings(toolRowMessages(row), row.hf_tools)) yield ['template_warning', warning];
    yield* callProblems(row, options.format);
  } else if ('messages' in row)
    for (const warning of templateWarnings(row.messages, Array.isArray(row.tools) ? row.tools : []))
      yield ['template_warning', warning];
  yield* lengthProblems(row, options);
}

function* lengthProblems(row: TrainingRow, options: LintOptions): Iterable<[ProblemKind, string]> {
  let encoded: ReturnType<typeof encodeRow>;
  try {
    encoded = encodeRow(row, options, 'the row');
  } catch (error) {
    yield ['cannot_encode', (error as Error).message];
    return;
  }
  const { inputIds, labels } = encoded;
  const { maxLength } = options;
  if (inputIds.length > 1 && inputIds[0] === 2 && inputIds[1] === 2) yield ['double_bos', 'ids 2, 2'];
  if (!labels.subarray(1).some((label) => label !== IGNORE))
    yield ['nothing_to_learn', `${labels.length} labels, all -100`];
  if (inputIds.length <= maxLength) return;
  yield ['too_long', `${inputIds.length} tokens, max-length ${maxLength}`];
  const answer = labels.indexOf(labels.find((label) => label !== IGNORE) ?? IGNORE);
  if (labels.subarray(maxLength).some((label) => label !== IGNORE))
    yield ['answer_cut', `its answer begins at token ${Math.max(0, answer)} and ends after ${maxLength}`];
}

/** The gold call judged as if a model had written it. */
function* callProblems(row: ToolRow, format: TargetFormat): Iterable<[ProblemKind, string]> {
  let gold: Prediction;
  try {
    const [, answer] = renderToolRow(row, { format: 'native' });
    gold = judge(questionOf(row, 'native'), answer.text.replace(/<start_function_response>$/, ''));
    if (format !== 'native') questionOf(row, format);
  } catch (error) {
    yield ['cannot_encode', (error as Error).message];
    return;
  }
  const value = (name: string) => METRICS.find((metric) => metric.name === name)!.score(gold)?.value;
  const tool = row.hf_tools.find((offered) => offered.function.name === row.tool_name);
  if (tool === undefined)
    yield ['unknown_tool', `${row.tool_name}; it offers ${row.hf_tools.map((t) => t.function.name).join(', ')}`];
  const missing = requiredOf(tool).filter((name) => !Object.hasOwn(gold.gold.arguments, name));
  if (missing.length > 0) yield ['missing_argument', `${row.tool_name} needs ${missing.join(', ')}`];
  else if (value('schema_validity') === 0) yield ['invalid_arguments', `${row.tool_name} with ${row.tool_arguments}`];
  if (format === 'native' && value('exact_match') === 0) yield ['unreadable_call', gold.goldBlock];
}

function requiredOf(tool: Tool | undefined): string[] {
  const required = tool?.function.parameters?.required;
  return Array.isArray(required) ? required.filter((name) => typeof name === 'string') : [];
}
