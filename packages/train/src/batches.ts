import { type EncodedRow, epochUpdates } from '@gemmatune/data';
import type { ParameterInfo } from '@gemmatune/engine';
import type { RunOptions } from './by-rows.js';
import type { Schedule } from './schedule.js';
import { dealByCost, ranksCountedByTrl, rowCost, topUp } from './shares.js';
import type { UpdateCounts } from './state.js';

/** One micro-batch before it is packed: its rows, and how many items (rows or packs of rows) they are. */
export interface MicroBatchRows {
  rows: EncodedRow[];
  items: number;
}

/** One update of all ranks. */
export interface Update {
  /** shares[r] = the micro-batches of rank r, perhaps none. */
  shares: MicroBatchRows[][];
  counts: UpdateCounts;
  /** How many of the schedule's batches these are. */
  batches: number;
  /** Ranks whose metrics are logged: all, but for a quirk of TRL's. */
  ranksCounted: number;
}

export const tokensOf = (rows: readonly EncodedRow[]): number =>
  rows.reduce((sum, { inputIds }) => sum + inputIds.length, 0);

/**
 * Which rows each update trains on, and on which rank: a pure function of (seed, epoch, step, ranks). By default the updates are those of one rank with so many
 * times the gradient accumulation, dealt by cost; with compat 'trl' ranks take batches in turn. Keeps the order of the current epoch.
 */
export class TrainingOrder {
  readonly #rows: readonly EncodedRow[];
  readonly #items: number[][];
  readonly #options: RunOptions;
  readonly #schedule: Schedule;
  readonly #ranks: number;
  /** Of each item; empty where nothing is dealt by it. */
  readonly #costs: number[];
  #epoch = -1;
  /** updates[u][b] = item numbers of batch b of the epoch's update u */
  #updates: number[][][] = [];

  /** @param items row numbers of each training item */
  constructor(
    rows: readonly EncodedRow[],
    items: number[][],
    options: RunOptions,
    schedule: Schedule,
    ranks: { size: number; parameters: readonly ParameterInfo[] },
  ) {
    this.#rows = rows;
    this.#items = items;
    this.#options = options;
    this.#schedule = schedule;
    this.#ranks = ranks.size;
    const cost = rowCost(ranks.parameters);
    const dealt = ranks.size > 1 && options.compat !== 'trl';
    this.#costs = dealt ? items.map((item) => item.reduce((sum, row) => sum + cost(rows[row]!), 0)) : [];
  }

  /** The micro-batches of every rank in every update of the run. */
  *[Symbol.iterator](): Generator<MicroBatchRows[]> {
    for (let step = 1; step <= this.#schedule.maxSteps; step++) yield* this.update(step).shares;
  }

  /** Update `step`, counted from 1. */
  update(step: number): Update {
    const { updatesPerEpoch, itemsPerBatch } = this.#schedule;
    this.#startEpoch(Math.floor((step - 1) / updatesPerEpoch));
    const inEpoch = (step - 1) % updatesPerEpoch;
    const batches = this.#updates[inEpoch]!;
    const shares = this.#shares(batches).map((share) => share.map((items) => this.#microBatch(items)));
    const trl = this.#options.compat === 'trl';
    const ranksCounted =
      trl && inEpoch + 1 === updatesPerEpoch
        ? ranksCountedByTrl(this.#items.length, itemsPerBatch, this.#ranks)
        : this.#ranks;
    // By default counted as one rank would compute it, so that no logged number depends on how many there are.
    const microBatches = trl ? shares.flat() : batches.map((items) => this.#microBatch(items));
    const counts = {
      items: microBatches.reduce((sum, { items }) => sum + items, 0),
      tokens: tokensOf(shares.slice(0, ranksCounted).flatMap((share) => share.flatMap(({ rows }) => rows))),
      padded: microBatches.reduce((sum, { rows }) => sum + this.#padded(rows), 0),
    };
    return { shares, counts, batches: batches.length, ranksCounted };
  }

  #startEpoch(epoch: number): void {
    if (this.#epoch === epoch) return;
    const { itemsPerBatch: batchSize, batchesPerUpdate: gradientAccumulation } = this.#schedule;
    const seed = this.#options.dataSeed ?? this.#options.seed;
    this.#updates = epochUpdates(this.#items.length, { batchSize, gradientAccumulation, seed, epoch });
    if (this.#options.compat === 'trl' && this.#ranks > 1) topUp(this.#updates, batchSize);
    this.#epoch = epoch;
  }

  /** shares[r][m] = items of rank r's micro-batch m */
  #shares(batches: number[][]): number[][][] {
    if (this.#ranks === 1) return [batches];
    const { perDeviceTrainBatchSize: size, compat } = this.#options;
    if (compat === 'trl')
      return Array.from({ length: this.#ranks }, (_, rank) =>
        batches.map((items) => items.slice(rank * size, (rank + 1) * size)),
      );
    const items = batches.flat();
    const shares = dealByCost(
      items.map((item) => this.#costs[item]!),
      this.#ranks,
    );
    return shares.map((positions) =>
      Array.from({ length: Math.ceil(positions.length / size) }, (_, m) =>
        positions.slice(m * size, (m + 1) * size).map((position) => items[position]!),
      ),
    );
  }

  #microBatch(items: readonly number[]): MicroBatchRows {
    return {
      rows: items.flatMap((item) => this.#items[item]!.map((row) => this.#rows[row]!)),
      items: items.length,
    };
  }

  /** Tokens of a micro-batch with right padding; packs have none. */
  #padded(rows: readonly EncodedRow[]): number {
    return this.#options.packing
      ? tokensOf(rows)
      : rows.length * Math.max(...rows.map(({ inputIds }) => inputIds.length));
  }
}
