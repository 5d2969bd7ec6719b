import { setImmediate } from 'node:timers/promises';
import { packBatch } from '@gemmatune/data';
import type { BatchMetrics, Model } from '@gemmatune/engine';
import { type TrainingOrder, tokensOf, type Update } from './batches.js';
import type { RunOptions } from './by-rows.js';
import type { TrainEvent } from './events.js';
import { added, noMetrics } from './metrics.js';
import { type Pass, type PassPlan, passesOf, planPasses } from './plan.js';
import { type Ranks, together } from './ranks.js';
import { learningRateAt, type Schedule } from './schedule.js';
import type { MicroBatch } from './state.js';

/** The forward and backward passes of this rank, in step with the other ranks'. */
export class Passes {
  readonly #model: Pick<Model, 'passMemory' | 'setRecompute' | 'accumulate'>;
  readonly #ranks: Ranks;
  readonly #order: TrainingOrder;
  readonly #schedule: Schedule;
  readonly #options: RunOptions;
  /** null: every micro-batch is a pass. */
  #tokensPerPass: number | null = null;
  /** Seconds of this process in accumulate and update, and tokens of all ranks meanwhile. */
  #work = { seconds: 0, tokens: 0 };

  constructor(
    model: Pick<Model, 'passMemory' | 'setRecompute' | 'accumulate'>,
    run: { ranks: Ranks; order: TrainingOrder; schedule: Schedule; options: RunOptions },
  ) {
    this.#model = model;
    this.#ranks = run.ranks;
    this.#order = run.order;
    this.#schedule = run.schedule;
    this.#options = run.options;
  }

  /** What fits this rank. @param before tokensPerPass of the checkpoint that training goes on from */
  planned(before: number | null, options: RunOptions = this.#options): PassPlan | null {
    return planPasses(this.#order, (tokens, targets) => this.#model.passMemory(tokens, targets), options, before);
  }

  /** Sets up the passes of the rank that has least room, so that all have as many in every update. */
  async agree(before: number | null): Promise<PassPlan | null> {
    const plans = await together(this.#ranks, 'the plan of passes', () => this.planned(before));
    const sizes = plans.flatMap((plan) => plan?.tokensPerPass ?? []);
    const least = sizes.length > 0 ? Math.min(...sizes) : null;
    const mine = plans[this.#ranks.rank]!;
    const other = least !== null && mine?.tokensPerPass !== least;
    const plan = other ? this.planned(null, { ...this.#options, tokensPerPass: least }) : mine;
    const recompute = plan === null ? this.#options.recompute : plan.recompute;
    if (recompute !== null) this.#model.setRecompute(recompute);
    this.#tokensPerPass = least;
    return plan;
  }

  /**
   * The passes of update `step`: as many on every rank, those without rows at the end. Alone, a rank stops where an abort comes before the last of
   * them, and returns null; with others it goes on, as they wait for it.
   * @param tokens trained on before
   * @returns what is done of this rank's share
   */
  async *run(
    step: number,
    update: Update,
    tokens: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<TrainEvent, MicroBatch[] | null, undefined> {
    const { rank, size } = this.#ranks;
    const passes = update.shares.map((share) => passesOf(share, this.#tokensPerPass, this.#options.compat));
    const count = Math.max(...passes.map(({ length }) => length));
    const progress = { microStep: 0, microSteps: update.shares.flat().length, tokens };
    const done: MicroBatch[] = [];
    let sums = noMetrics();
    let shown = noMetrics();
    for (let i = 0; i < count; i++) {
      const metrics = await this.#accumulate(passes[rank]![i], { last: i + 1 === count });
      sums = added(sums, metrics);
      if (metrics.targets > 0) shown = metrics;
      const items = passes[rank]![i]?.completed.reduce((sum, microBatch) => sum + microBatch.items, 0) ?? 0;
      if (items > 0) {
        done.push({ metrics: sums, items });
        sums = noMetrics();
      }
      for (const pass of passes.flatMap((ofRank) => ofRank[i] ?? [])) {
        progress.microStep += pass.completed.length;
        progress.tokens += tokensOf(pass.rows);
        this.#work.tokens += tokensOf(pass.rows);
      }
      yield this.#progress(step, update, progress, shown);
      if (size === 1 && signal?.aborted && i + 1 < count) return null;
      await setImmediate(); // where the model answers at once, timers and signals still get their turn
    }
    return done;
  }

  /** Counts the time of `work` into the speed that events tell. */
  async timed<T>(work: () => Promise<T>): Promise<T> {
    const began = performance.now();
    const result = await work();
    this.#work.seconds += (performance.now() - began) / 1000;
    return result;
  }

  /** @param pass undefined: this rank has no rows left, and takes part in the others' pass */
  #accumulate(pass: Pass | undefined, options: { last: boolean }): Promise<BatchMetrics> {
    const batch = pass === undefined ? null : packBatch(pass.rows);
    return this.timed(() => this.#model.accumulate(batch, options));
  }

  #progress(
    step: number,
    { batches }: Update,
    now: { microStep: number; microSteps: number; tokens: number },
    { lossSum, targets }: BatchMetrics,
  ): TrainEvent {
    const { updatesPerEpoch, batchesPerEpoch, batchesPerUpdate, maxSteps } = this.#schedule;
    const before = step - 1;
    const done = (before % updatesPerEpoch) * batchesPerUpdate + (batches * now.microStep) / now.microSteps;
    return {
      type: 'progress',
      step,
      maxSteps,
      ...now,
      epoch: Math.floor(before / updatesPerEpoch) + done / batchesPerEpoch,
      learningRate: learningRateAt(step, this.#schedule, this.#options),
      loss: lossSum / targets,
      tokensPerSecond: this.#work.tokens / this.#work.seconds,
    };
  }
}
