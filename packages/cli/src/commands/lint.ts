import { choice, counted, flag, integer, required, text } from '@gemmatune/base';
import {
  encodeOptions,
  formatOption,
  type LintReport,
  lintableRows,
  lintRows,
  ModelText,
  modelOption,
  PROBLEMS,
  readModelConfig,
  rowKey,
  some,
} from '@gemmatune/run';
import { command } from '../command.js';
import { DONE, FAILED } from '../exit-status.js';
import { modelFolder } from '../open-model.js';
import { table } from '../terminal/table.js';

export const lint = command({
  usage: '--model M --rows F [--eval-file F] [--max-length 1024] [--format native|tutorial]',
  options: {
    model: modelOption,
    rows: required('Rows that are to be trained on.', 'a file of rows'),
    evalFile: text('Rows for evaluation: those that are in both files are told.'),
    maxLength: integer('The max-length of the training to come.', 1024, { min: 2 }),
    loss: choice('The loss of the training to come', ['completion', 'assistant', 'full'], 'completion'),
    format: formatOption,
    strict: flag('End with exit status 1 where there is any problem.'),
  },
  async run({ model, rows: path, evalFile, maxLength, loss, format, strict }, context) {
    const folder = await modelFolder(model, context);
    const { config } = await readModelConfig(folder);
    const settings = { loss, maxLength, format, compat: null, packing: false };
    const evaluation = new Set<string>();
    if (evalFile !== null)
      for await (const { value } of lintableRows(evalFile, () => {}))
        if (!(value instanceof Error)) evaluation.add(rowKey(value));
    const options = await encodeOptions(new ModelText(folder), config.vocabSize, settings);
    const report = await lintRows(path, { ...options, format, maxLength }, evaluation);
    await context.print(context.json ? `${JSON.stringify(report)}\n` : forPeople(path, report, context.stdout.columns));
    return strict && report.problems.length > 0 ? FAILED : DONE;
  },
});

function forPeople(path: string, { rows, problems }: LintReport, width?: number): string {
  if (problems.length === 0) return `${path}: ${counted(rows, 'row')}, nothing wrong.\n`;
  const lines = problems.map(({ kind, count: times, lines: where, example }) => [
    String(times),
    PROBLEMS[kind],
    some(where),
    example,
  ]);
  return `${path}: ${counted(rows, 'row')}\n${table([['rows', 'problem', 'where', 'for example'], ...lines], width)}\n`;
}
