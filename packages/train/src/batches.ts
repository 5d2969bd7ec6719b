import { type EncodedRow, epochUpdates } from '@gemmatune/data';
import type { TrainOptions } from './config.js';
import type { Plan } from './schedule.js';

/** One micro-batch before it is packed: its rows, and how many items (rows or packs of rows) they are. */
export interface MicroBatchRows {
  rows: EncodedRow[];
  items: number;
}

/** Which rows each update trains on: a pure function of (seed, epoch, step). Keeps the order of the current epoch. */
export class TrainingOrder {
  readonly #rows: readonly EncodedRow[];
  readonly #items: number[][];
  readonly #options: TrainOptions;
  readonly #plan: Plan;
  #epoch = -1;
  /** updates[u][m] = item numbers of micro-batch m of the epoch's update u */
  #updates: number[][][] = [];

  /** @param items row numbers of each training item */
  constructor(rows: readonly EncodedRow[], items: number[][], options: TrainOptions, plan: Plan) {
    this.#rows = rows;
    this.#items = items;
    this.#options = options;
    this.#plan = plan;
  }

  /** The micro-batches of every update of the run. */
  *[Symbol.iterator](): Generator<MicroBatchRows[]> {
    for (let step = 1; step <= this.#plan.maxSteps; step++) yield this.microBatches(step);
  }

  /** The micro-batches of update `step`, counted from 1. */
  microBatches(step: number): MicroBatchRows[] {
    const { updatesPerEpoch } = this.#plan;
    const epoch = Math.floor((step - 1) / updatesPerEpoch);
    if (this.#epoch !== epoch) {
      const { perDeviceTrainBatchSize: batchSize, gradientAccumulationSteps: gradientAccumulation } = this.#options;
      const seed = this.#options.dataSeed ?? this.#options.seed;
      this.#updates = epochUpdates(this.#items.length, { batchSize, gradientAccumulation, seed, epoch });
      this.#epoch = epoch;
    }
    return this.#updates[(step - 1) % updatesPerEpoch]!.map((items) => ({
      rows: items.flatMap((item) => this.#items[item]!.map((row) => this.#rows[row]!)),
      items: items.length,
    }));
  }
}
