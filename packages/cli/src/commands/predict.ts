import { counted, InputError, integer } from '@gemmatune/base';
import { METRICS, type Prediction } from '@gemmatune/eval';
import { DEVICE_OPTIONS, formatOption, modelOption, questionsOption } from '@gemmatune/run';
import { askAll, askedOf } from '../ask.js';
import { command } from '../command.js';
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
  async run({ index, ...options }, context) {
    const asked = await askedOf(options, index + 1, context);
    const questions = asked.questions.slice(index);
    if (questions.length === 0)
      throw new InputError(
        `${options.rows}: found ${counted(asked.questions.length, 'row')}, expected more than --index ${index}.`,
      );
    const evaluation = await askAll({ ...asked, questions }, 'Generating', options, context);
    const prediction = evaluation.predictions[0]!;
    const { prompt } = prediction;
    await context.print(
      context.json
        ? `${JSON.stringify({ index, prompt, prediction: prediction.text, gold: prediction.goldBlock, calls: prediction.calls, gold_call: prediction.gold, ...evaluation.metrics })}\n`
        : forPeople(prediction, context.stdout.columns),
    );
    return undefined;
  },
});

function forPeople(prediction: Prediction, width = 100): string {
  const verdicts = METRICS.flatMap((metric) => {
    const part = metric.score(prediction);
    return part === null || part.weight === 0 ? [] : [`${metric.title}: ${(part.value / part.weight).toFixed(2)}`];
  });
  const sides = sideBySide(['prediction', prediction.text || '(nothing)'], ['gold', prediction.goldBlock], width);
  return `prompt\n------\n${prediction.prompt}\n\n${sides}\n\n${verdicts.join('\n')}\n`;
}
