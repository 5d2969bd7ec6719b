import { counted, flag, integer, text, writeWhole } from '@gemmatune/base';
import type { Evaluation } from '@gemmatune/eval';
import { DEVICE_OPTIONS, flat, formatOption, modelOption, questionsOption } from '@gemmatune/run';
import { askAll, askedOf } from '../ask.js';
import { command } from '../command.js';
import { metricsTable } from '../evaluation-table.js';
import { refuseExisting } from '../output.js';

export const evaluate = command({
  usage: '--model M --rows F [--n 50] [--max-new-tokens 128] [--format native|tutorial] [--predictions FILE]',
  options: {
    model: modelOption,
    rows: questionsOption,
    n: integer('How many rows, from the first.', 50, { min: 1 }),
    maxNewTokens: integer('Most tokens to generate for a row.', 128, { min: 1 }),
    format: formatOption,
    predictions: text('File for every generation beside its gold call, as JSON lines.'),
    overwrite: flag('Replace the file of --predictions.'),
    ...DEVICE_OPTIONS,
  },
  async run({ n, predictions, overwrite, ...options }, context) {
    refuseExisting('--predictions', predictions, overwrite);
    const asked = await askedOf(options, n, context);
    const evaluated = () => askAll(asked, 'Evaluating', options, context);
    const evaluation =
      predictions === null
        ? await evaluated()
        : await writeWhole(predictions, async (put) => {
            const made = await evaluated();
            for (const row of predictionRows(made)) await put(`${JSON.stringify(row)}\n`);
            return made;
          });
    const result = flat(evaluation);
    await context.print(
      context.json
        ? `${JSON.stringify(result)}\n`
        : `${metricsTable({ [counted(result.n_eval, 'row')]: result }, context.stdout)}\n`,
    );
    return undefined;
  },
});

/** Each generation beside its gold call. */
export function predictionRows({ predictions }: Evaluation): unknown[] {
  return predictions.map(({ row, text, gold, goldBlock, block, calls, unreadable }, index) => ({
    index,
    user_content: row.user_content,
    gold,
    calls,
    unreadable,
    gold_text: goldBlock,
    call_text: block,
    text,
  }));
}
