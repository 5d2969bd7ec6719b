/** A run on the screen: its lines, and one bar for what is under way. */
import { duration, eventLines, FINETUNE_OPTIONS, type FinetuneEvent, seriesOf } from '@gemmatune/run';
import type { LogRow } from '@gemmatune/train';
import { moved } from '../open-model.js';
import { inFlags } from '../options.js';
import type { Progress } from './progress.js';
import { sparkline } from './sparkline.js';

const TITLES = { before: 'Evaluating before', after: 'Evaluating after' } as const;

export class FinetuneScreen {
  readonly #progress: Progress;
  /** What the bar is about. */
  #title = '';
  #began = 0;
  /** The share of the training that was done when this process began. */
  #first = 0;

  constructor(progress: Progress) {
    this.#progress = progress;
  }

  show(event: FinetuneEvent): void {
    if (event.type === 'download') moved(this.#bar(event.what), `Downloading ${event.what}`)(event);
    else if (event.type === 'generating')
      this.#bar(event.when).update(
        TITLES[event.when],
        event.done / event.total,
        `${event.done} of ${event.total} rows`,
      );
    else if (event.type === 'evaluating')
      this.#bar('training').update('Evaluation loss', event.batch / event.batches, `after update ${event.step}`);
    else if (event.type === 'progress') this.#training(event);
    else {
      if (event.type === 'start') {
        this.#began = performance.now();
        this.#first = event.step / event.maxSteps;
      }
      const lines = event.type === 'report' ? sparklines(event.logHistory) : eventLines(event);
      if (event.type === 'end' || event.type === 'evaluation') this.#progress.end();
      for (const line of lines) this.#progress.line(inFlags(line, FINETUNE_OPTIONS));
    }
  }

  #training({
    step,
    maxSteps,
    microStep,
    microSteps,
    loss,
    learningRate,
    tokensPerSecond,
  }: FinetuneEvent & { type: 'progress' }) {
    const share = (step - 1 + microStep / microSteps) / maxSteps;
    const seconds = (performance.now() - this.#began) / 1000;
    const left = (seconds / (share - this.#first)) * (1 - share);
    this.#bar('training').update(
      'Training',
      share,
      `${step}/${maxSteps}  loss ${loss.toFixed(4)}  lr ${learningRate.toExponential(2)}  ${Math.round(tokensPerSecond)} tokens/s  ${duration(left)} left`,
    );
  }

  /** The last state of what went before stays on the screen. */
  #bar(title: string): Progress {
    if (title !== this.#title) this.#progress.end();
    this.#title = title;
    return this.#progress;
  }
}

const CURVES = [
  'loss',
  'eval_loss',
  'mean_token_accuracy',
  'learning_rate',
] as const satisfies readonly (keyof LogRow)[];

/** Loss and accuracy as text. */
function sparklines(logHistory: readonly LogRow[]): string[] {
  return CURVES.flatMap((key) => {
    const values = seriesOf(logHistory, key).points.map(({ y }) => y);
    if (values.length < 2) return [];
    const [first, last] = [values[0]!, values.at(-1)!].map((value) => String(Number(value.toPrecision(3))));
    return [`${key.padEnd(20)} ${sparkline(values)} ${first} → ${last}`];
  });
}
