import { expectOptions } from '@gemmatune/base';
import type { EncodedRow } from '@gemmatune/data';
import type { Model } from '@gemmatune/engine';
import { TrainingOrder } from './batches.js';
import { optionsForRows, type RowSettings, type RunOptions } from './by-rows.js';
import { refuseBestUnseen, resolveTrainOptions, type TrainOptions } from './config.js';
import { describeRun } from './describe.js';
import { TrainError } from './errors.js';
import { decidingMetric, type EvalMetrics, evaluation } from './evaluate.js';
import type { TrainEvent, WarningCode } from './events.js';
import { emptyWindow, endRow, type LogRow, trainRow } from './log.js';
import { Passes } from './passes.js';
import type { PassPlan } from './plan.js';
import {
  ALONE,
  addedUp,
  byFirst,
  type Description,
  gatherParts,
  type Ranks,
  refuseDifferences,
  sameModel,
  together,
} from './ranks.js';
import { checkRows, itemsOf } from './rows.js';
import { RunFolder } from './run-folder.js';
import { dueAfter, epochAt, learningRateAt, type Schedule, scheduleOf } from './schedule.js';
import { freshState, leftover, type RunState, recordBest, recordUpdate, summary } from './state.js';

/** What training needs of a model; the engine's Model is one. */
export type TrainableModel = Pick<
  Model,
  | 'parameters'
  | 'passMemory'
  | 'setRecompute'
  | 'accumulate'
  | 'update'
  | 'discard'
  | 'score'
  | 'save'
  | 'saveState'
  | 'loadState'
  | 'completeCopies'
  | 'checksum'
>;

export interface TrainerInput {
  trainRows: readonly EncodedRow[];
  evalRows?: readonly EncodedRow[];
  /** Checked by resolveTrainOptions; what is not given has TRL's default, or one that the number of rows decides. */
  options?: Partial<TrainOptions>;
  /** Files copied into every checkpoint and beside the trained model: the tokenizer's. */
  companions?: readonly string[];
  evalMetrics?: EvalMetrics;
  /** The processes that train together; the model is shared between them (Model.share). Unset: this one alone. Each is given the same rows. */
  ranks?: Ranks;
  /** Further names and values that must be the same on every rank, such as device, collectives and wire. Checkpoints record them. */
  description?: Description;
}

const INPUT: Record<keyof TrainerInput, true> = {
  ...{ trainRows: true, evalRows: true, options: true, companions: true, evalMetrics: true, ranks: true },
  ...{ description: true },
};

/**
 * Fine-tuning by the rules of TRL's SFTTrainer. Order of rows, learning rate and update are pure functions of (seed, epoch, step).
 *
 *     for await (const event of new Trainer(model, { trainRows, options }).train({ signal })) ...
 *
 * Where the default departs from TRL 1.13, and compat 'trl' does not: evaluation rows that are given are evaluated after every epoch; learning rate, epochs, batch, schedule and warm-up that are left out follow from
 * the number of rows; warm-up starts above 0; accuracy, entropy and eval_loss count every token the same; num_tokens, train_loss and rates are right
 * after a resume; the last update is always logged; with loadBestModelAtEnd every new best model is saved at once. In both, a gradient that is not
 * finite leaves the weights as they were.
 *
 * With several ranks every rank makes the same calls, and hears the same events but for its own passes. Options stay per device, so that ranks
 * multiply the rows of an update.
 */
export class Trainer {
  readonly options: RunOptions;
  /** What the number of rows decided of the options. */
  readonly byRows: Readonly<Partial<RowSettings>>;
  readonly schedule: Schedule;
  readonly #model: TrainableModel;
  readonly #ranks: Ranks;
  readonly #description: Description;
  readonly #rows: readonly EncodedRow[];
  readonly #items: number;
  readonly #order: TrainingOrder;
  readonly #eval: { rows: readonly EncodedRow[]; items: number[][]; metrics: EvalMetrics | undefined };
  readonly #rowsWithoutTargets: number;
  readonly #run: RunFolder;
  readonly #passes: Passes;
  #state: RunState = freshState();
  #savedStep = 0;
  #started = false;
  /** When #state.seconds was last brought up to date. */
  #ticked = 0;

  /** @throws TrainError ERR_GEMMATUNE_ARGUMENT for options or rows that cannot be trained on */
  constructor(model: TrainableModel, input: TrainerInput) {
    expectOptions('new Trainer', input, INPUT);
    const { trainRows, evalRows = [], options, companions = [], evalMetrics, ranks = ALONE, description = {} } = input;
    const checked = resolveTrainOptions(options);
    this.#rowsWithoutTargets = checkRows(trainRows, 'trainRows');
    ({ options: this.options, byRows: this.byRows } = optionsForRows(checked, trainRows.length, evalRows.length));
    refuseBestUnseen(this.options);
    this.#ranks = ranks.size === 1 ? ALONE : ranks;
    this.#description = description;
    const { evalStrategy } = this.options;
    if (evalRows.length > 0 || evalStrategy !== 'no') checkRows(evalRows, 'evalRows');
    this.#model = model;
    this.#rows = trainRows;
    const items = itemsOf(trainRows, this.options);
    this.#items = items.length;
    this.#eval = { rows: evalRows, items: itemsOf(evalRows, this.options), metrics: evalMetrics };
    const { size } = ranks;
    this.schedule = scheduleOf(items.length, this.options, size);
    this.#order = new TrainingOrder(trainRows, items, this.options, this.schedule, {
      size,
      parameters: model.parameters,
    });
    const run = { rows: trainRows, options: this.options, schedule: this.schedule, companions };
    this.#run = new RunFolder(model, run, this.#ranks, { ranks: size, ...(size > 1 && description) });
    this.#passes = new Passes(model, { ...run, ranks: this.#ranks, order: this.#order });
  }

  /**
   * Trains to the end, or until `signal` aborts: then it stops after the running pass with a checkpoint of the last complete
   * update. Gradients of an update under way are discarded; `resume: true` repeats it. A `signal` of one rank stops all, after the running update.
   * The consumer sets the pace: training waits while an event is handled.
   * @throws TrainError ERR_GEMMATUNE_FILE, _RESUME, _RANK or _DIVERGED; or the engine's own error
   */
  async *train({ signal }: { signal?: AbortSignal } = {}): AsyncGenerator<TrainEvent, void, undefined> {
    if (this.#started)
      throw new TrainError('ERR_GEMMATUNE_ARGUMENT', 'A Trainer trains once; make a new one, with `resume` to go on.');
    this.#started = true;
    this.#ticked = performance.now();
    yield* this.#start();
    const aborted = await together(this.#ranks, 'the start', () => signal?.aborted ?? false);
    // A resumed run may still owe the evaluation after its last update.
    let going = !aborted.includes(true) && (yield* this.#afterUpdate(signal));
    while (going && this.#state.step < this.schedule.maxSteps) {
      going = (yield* this.#update(signal)) && (yield* this.#afterUpdate(signal));
    }
    yield* going ? this.#finish() : this.#abort();
  }

  /**
   * How updates would be computed if training started now, with the memory that is free here; null: each micro-batch by itself. Asks no other rank.
   * @param before tokensPerPass of the checkpoint that training goes on from
   * @throws TrainError ERR_GEMMATUNE_MEMORY where the rows do not fit the device
   */
  planPasses(before: number | null = null): PassPlan | null {
    return this.#passes.planned(before);
  }

  /** Forward only, over all evaluation rows: the row that training would log, or null where `signal` aborted it. Every rank calls it. */
  async evaluate({ signal }: { signal?: AbortSignal } = {}): Promise<LogRow | null> {
    checkRows(this.#eval.rows, 'evalRows');
    const events = this.#evaluation(signal);
    let next = await events.next();
    while (!next.done) next = await events.next();
    return next.value;
  }

  async *#start(): AsyncGenerator<TrainEvent, void, undefined> {
    if (this.#ranks.size > 1) await this.#refuseDifferences();
    const { state, folder, notes } = await this.#run.open();
    this.#state = state;
    this.#savedStep = state.step;
    if (folder !== null) await this.#load(folder);
    const counts = { trainRows: this.#rows.length, evalRows: this.#eval.rows.length, ranks: this.#ranks.size };
    yield { type: 'start', ...this.schedule, ...counts, step: state.step, resumedFrom: folder };
    yield* this.#startPasses();
    for (const { code, message } of notes) yield this.#warning(code, message);
    if (this.#rowsWithoutTargets > 0) {
      const message = `${this.#rowsWithoutTargets} of ${counts.trainRows} rows have no target token and teach nothing.`;
      yield this.#warning('rows-without-targets', message);
    }
  }

  async #refuseDifferences(): Promise<void> {
    const { rows, metrics } = this.#eval;
    const run = {
      options: this.options,
      identity: await this.#run.identity(),
      evalRows: rows,
      evalMetrics: metrics !== undefined,
    };
    const described = await describeRun(run);
    await this.#model.completeCopies(); // of what it may have learnt before
    const weights = await this.#model.checksum();
    await refuseDifferences(this.#ranks, { ranks: this.#ranks.size, ...described, ...this.#description, weights });
  }

  /** Every rank reads the checkpoint by itself. */
  async #load(folder: string): Promise<void> {
    await together(this.#ranks, `reading ${folder}`, () => this.#model.loadState(folder));
    await sameModel(this.#ranks, this.#model, `as read from ${folder}`);
  }

  async *#startPasses(): AsyncGenerator<TrainEvent, void, undefined> {
    const before = this.#state.tokensPerPass;
    const passes = await this.#passes.agree(before);
    this.#state.tokensPerPass = passes?.tokensPerPass ?? null;
    if (passes === null) return;
    yield { type: 'plan', ...passes };
    if (before !== null && before !== passes.tokensPerPass) {
      const message = `The checkpoint was trained in passes of up to ${before} tokens, and now they have up to ${passes.tokensPerPass}: sums are rounded otherwise.`;
      yield this.#warning('other-passes', message);
    }
  }

  /** One optimizer update. Returns false where an abort came before its last pass, or with several ranks on any of them. */
  async *#update(signal: AbortSignal | undefined): AsyncGenerator<TrainEvent, boolean, undefined> {
    const { options, schedule } = this;
    const ranks = this.#ranks;
    const state = this.#state;
    const step = state.step + 1;
    const update = this.#order.update(step);
    const microBatches = yield* this.#passes.run(step, update, state.tokens, signal);
    if (microBatches === null) return false;
    const parts = await gatherParts(ranks, `update ${step}`, { microBatches, aborted: signal?.aborted ?? false });
    const done = addedUp(parts);
    const logged = update.ranksCounted === ranks.size ? done : addedUp(parts.slice(0, update.ranksCounted));

    const targets = done.reduce((sum, { metrics }) => sum + metrics.targets, 0);
    const loss = done.reduce((sum, { metrics }) => sum + metrics.lossSum, 0) / targets;
    const learningRate = learningRateAt(step, schedule, options);
    const { gradNorm, applied } =
      targets > 0 ? await this.#applyGradient(targets, learningRate) : await this.#skipGradient();
    recordUpdate(state, logged, update.counts, loss, applied);
    const due = dueAfter(step, schedule, options);
    state.evaluated = !due.evaluate;

    const problem = updateProblem(targets, loss, gradNorm, applied);
    if (problem !== null) yield this.#warning(problem.code, `Update ${step}: ${problem.what}.`);
    state.nonFinite = targets > 0 && !applied ? state.nonFinite + 1 : 0;

    if (due.log) {
      const row = trainRow(state.window, { gradNorm, learningRate }, state.tokens, this.#position(), options.compat);
      state.window = emptyWindow();
      state.logHistory.push(row);
      yield { type: 'log', row };
    }
    if (state.nonFinite >= options.nonFinitePatience) yield* this.#diverge();
    return !parts.some(({ aborted }) => aborted);
  }

  /** An update without targets: nothing was added to the gradient. */
  async #skipGradient(): Promise<{ gradNorm: number; applied: boolean }> {
    if (this.#ranks.size > 1) await this.#model.discard(); // waits for the exchange that the last pass has begun
    return { gradNorm: 0, applied: false };
  }

  async #applyGradient(divisor: number, learningRate: number): Promise<{ gradNorm: number; applied: boolean }> {
    const { maxGradNorm, weightDecay, adamBeta1: beta1, adamBeta2: beta2, adamEpsilon: epsilon, seed } = this.options;
    const adamw = { maxGradNorm, weightDecay, beta1, beta2, epsilon, seed };
    const step = this.#state.appliedUpdates + 1;
    return this.#passes.timed(() => this.#model.update({ learningRate, step, divisor, ...adamw }));
  }

  /** Evaluation and checkpoint, where they are due. Returns false where an abort came. */
  async *#afterUpdate(signal: AbortSignal | undefined): AsyncGenerator<TrainEvent, boolean, undefined> {
    const state = this.#state;
    const { metricForBestModel, greaterIsBetter, saveStrategy, loadBestModelAtEnd, compat } = this.options;
    let { save } = dueAfter(state.step, this.schedule, this.options);
    if (!state.evaluated) {
      const row = yield* this.#evaluation(signal);
      if (row === null) return false;
      state.evaluated = true;
      state.logHistory.push(row);
      const best =
        metricForBestModel !== null && recordBest(state, decidingMetric(row, metricForBestModel), greaterIsBetter!);
      if (best && (saveStrategy === 'best' || (loadBestModelAtEnd && compat !== 'trl'))) save = true;
      this.#savedStep = -1; // a checkpoint of this step, if there is one, lacks the row
      yield { type: 'evaluate', row, best };
    }
    if (save) yield* this.#save();
    return this.#ranks.size > 1 || !signal?.aborted; // several ranks agree on it in the next update
  }

  #evaluation(signal: AbortSignal | undefined): AsyncGenerator<TrainEvent, LogRow | null, undefined> {
    const at = { ...this.#position(), tokens: this.#state.tokens };
    return evaluation(this.#model, this.#ranks, this.#eval, this.options, at, signal);
  }

  /** A checkpoint of the last complete update, unless there is one. */
  async *#save(): AsyncGenerator<TrainEvent, void, undefined> {
    const { step } = this.#state;
    if (!this.#run.enabled || this.#savedStep === step) return;
    this.#tick();
    const folder = await this.#run.save(this.#state);
    this.#savedStep = step;
    yield { type: 'save', step, folder, final: false };
  }

  async *#finish(): AsyncGenerator<TrainEvent, void, undefined> {
    const { options, schedule } = this;
    const state = this.#state;
    if (this.#ranks.size > 1) await this.#model.completeCopies();
    this.#tick();
    state.seconds = await byFirst(this.#ranks, 'the time', () => state.seconds);
    const row = endRow(
      summary(state, schedule, options, this.#items, this.#model.parameters),
      leftover(state, options),
      this.#position(),
    );
    state.logHistory.push(row);
    if (options.loadBestModelAtEnd) {
      const folder = await this.#run.bestFolder(state);
      if (folder !== null) await this.#load(folder);
      else yield this.#warning('best-missing', 'No checkpoint holds the best model: the last weights stay.');
    }
    if (this.#run.enabled) {
      const folder = await this.#run.saveModel(state);
      yield { type: 'save', step: state.step, folder, final: true };
    }
    yield { type: 'end', reason: 'completed', step: state.step, row, folder: options.outputDir };
  }

  async *#abort(): AsyncGenerator<TrainEvent, void, undefined> {
    const { step } = this.#state;
    await this.#model.discard();
    if (this.#ranks.size > 1) await this.#model.completeCopies();
    if (step > 0) yield* this.#save();
    yield { type: 'end', reason: 'aborted', step, row: null, folder: await this.#run.newestFolder() };
  }

  async *#diverge(): AsyncGenerator<TrainEvent, never, undefined> {
    const { step, nonFinite } = this.#state;
    const folder = await this.#run.newestFolder();
    yield { type: 'end', reason: 'diverged', step, row: null, folder };
    throw new TrainError(
      'ERR_GEMMATUNE_DIVERGED',
      `Training diverged: the last ${nonFinite} updates, up to ${step} of ${this.schedule.maxSteps}, had gradients that are not finite; ` +
        `start again with a \`learningRate\` below ${this.options.learningRate}${folder === null ? '' : `, or look at ${folder}`}.`,
    );
  }

  #position(): { epoch: number; step: number } {
    const { step } = this.#state;
    return { epoch: epochAt(step, this.schedule), step };
  }

  #tick(): void {
    const now = performance.now();
    this.#state.seconds += (now - this.#ticked) / 1000;
    this.#ticked = now;
  }

  #warning(code: WarningCode, message: string): TrainEvent {
    return { type: 'warning', code, message, step: this.#state.step };
  }
}

/** What is to be told about an update that did not go as it should. */
function updateProblem(
  targets: number,
  loss: number,
  gradNorm: number,
  applied: boolean,
): { code: WarningCode; what: string } | null {
  const kept = 'the weights stay as they were';
  if (targets === 0) return { code: 'step-without-targets', what: `there is no target token, so ${kept}` };
  if (!applied)
    return { code: 'non-finite', what: `the gradient is not finite (norm ${gradNorm}, loss ${loss}), so ${kept}` };
  if (!Number.isFinite(loss)) return { code: 'non-finite', what: `the loss is not finite (${loss})` };
  return null;
}
