import { InputError, integer } from '@gemmatune/base';
import { METRICS, type Prediction, promptOf } from '@gemmatune/eval';
import { command } from '../command.js';
import { evaluateRows } from '../evaluation.js';
import { DEVICE_OPTIONS, loadModel, ModelText, modelFolder, modelOption } from '../model-source.js';
import { questionsOption, readQuestions } from '../questions.js';
import { formatOption } from '../rows.js';
import { sideBySide } from '../terminal/table.js';

export const predict = command({
  usage: '--model M --rows F --index I [--max-new-tokens 128] [--format native|tutorial]',
  options: {
    model: modelOption,
    rows: questionsOption,
    index: integer('Which row, counted from 0 among those that evaluate scores.', 0, { min: 0 }),
    maxNewTokens: integer('Most tokens to generate.', 128, { min: 1 }),
    format: formatOption,
    ...DEVICE_OPTIONS,
  },
  async run({ rows: path, index, maxNewTokens, format, ...options }, context) {
    const folder = await modelFolder(options.model, context);
    const source = new ModelText(folder);
    const questions = await readQuestions(path, source, format, context, index + 1);
    const question = questions[index];
    if (question === undefined)
      throw new InputError(`${path}: found ${questions.length} rows, expected more than --index ${index}.`);
    const tokenizer = await source.tokenizer();
    await using model = await loadModel(folder, options, context);
    const evaluation = await evaluateRows(
      model,
      tokenizer,
      [question],
      { maxNewTokens, format, title: 'Generating' },
      context,
    );
    const prompt = question.prompt ?? promptOf(question.row, format);
    const prediction = evaluation.predictions[0]!;
    await context.print(
      context.json
        ? `${JSON.stringify({ index, prompt, prediction: prediction.text, gold: prediction.goldBlock, calls: prediction.calls, gold_call: prediction.gold, ...evaluation.metrics })}\n`
        : forPeople(prompt, prediction, context.stdout.columns),
    );
    return undefined;
  },
});

function forPeople(prompt: string, prediction: Prediction, width = 100): string {
  const verdicts = METRICS.flatMap((metric) => {
    const part = metric.score(prediction);
    return part === null || part.weight === 0 ? [] : [`${metric.title}: ${(part.value / part.weight).toFixed(2)}`];
  });
  const sides = sideBySide(['prediction', prediction.text || '(nothing)'], ['gold', prediction.goldBlock], width);
  return `prompt\n------\n${prompt}\n\n${sides}\n\n${verdicts.join('\n')}\n`;
}
