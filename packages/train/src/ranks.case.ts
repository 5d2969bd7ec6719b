/** Several ranks in one process, for tests: promises instead of connections, and one model with a door for each rank. */
import type { Batch, BatchMetrics, Update } from '@gemmatune/engine';
import type { TrainEvent } from './events.js';
import { type TrainableModel, Trainer, type TrainerInput } from './loop.js';
import { noMetrics } from './metrics.js';
import type { Ranks } from './ranks.js';

/** Calls that wait until every rank has made theirs; then `act` runs once, with the arguments by rank. */
class Barrier<A, R> {
  readonly #size: number;
  readonly #act: (all: A[]) => Promise<R> | R;
  #calls: ({ mine: A; resolve: (result: R) => void; reject: (error: Error) => void } | undefined)[] = [];

  constructor(size: number, act: (all: A[]) => Promise<R> | R) {
    this.#size = size;
    this.#act = act;
  }

  come(rank: number, mine: A): Promise<R> {
    return new Promise((resolve, reject) => {
      if (this.#calls[rank] !== undefined) return reject(new Error(`rank ${rank} came twice`));
      this.#calls[rank] = { mine, resolve, reject };
      if (this.#calls.filter(Boolean).length < this.#size) return;
      const calls = this.#calls.map((call) => call!);
      this.#calls = [];
      Promise.resolve()
        .then(() => this.#act(calls.map((call) => call.mine)))
        .then(
          (result) => {
            for (const call of calls) call.resolve(result);
          },
          (error: Error) => {
            for (const call of calls) call.reject(error);
          },
        );
    });
  }

  fail(error: Error): void {
    for (const call of this.#calls) call?.reject(error);
    this.#calls = [];
  }
}

/** The ranks of one run, and what they have told each other. */
export class Meeting {
  readonly ranks: readonly Ranks[];
  /** What was gathered, in order. */
  readonly gathered: string[] = [];
  readonly #barrier: Barrier<{ what: string; bytes: Uint8Array }, Uint8Array[]>;

  constructor(size: number) {
    this.#barrier = new Barrier(size, (all) => {
      const { what } = all[0]!;
      const other = all.find((call) => call.what !== what);
      if (other !== undefined) throw new Error(`one rank gathers '${what}', another '${other.what}'`);
      this.gathered.push(what);
      return all.map(({ bytes }) => bytes);
    });
    this.ranks = Array.from({ length: size }, (_, rank) => ({
      rank,
      size,
      gather: (what: string, bytes: Uint8Array) => this.#barrier.come(rank, { what, bytes: bytes.slice() }),
    }));
  }

  /** A rank is gone: the others' calls fail. */
  fail(rank: number): void {
    this.#barrier.fail(new Error(`rank ${rank} is lost`));
  }
}

/**
 * Doors to one model for each rank. Gradients of all ranks add up in it, and it is updated once for all; that ranks make as many passes and ask for the same
 * update is checked.
 */
export function sharedBy(model: TrainableModel, size: number): TrainableModel[] {
  let running: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(call: () => Promise<T>): Promise<T> => {
    const done = running.then(call);
    running = done.catch(() => {});
    return done;
  };
  const passes = Array.from({ length: size }, (): boolean[] => []);
  const update = new Barrier<Update, { gradNorm: number; applied: boolean }>(size, (updates) => {
    const kinds = new Set([...passes.map((each) => each.join()), ...updates.map((each) => JSON.stringify(each))]);
    if (kinds.size !== 2) throw new Error(`ranks do not agree on an update: ${[...kinds].join('; ')}`);
    if (passes[0]!.indexOf(true) !== passes[0]!.length - 1) throw new Error('the last pass must be told, and no other');
    for (const each of passes) each.length = 0;
    return inTurn(() => model.update(updates[0]!));
  });
  const complete = new Barrier<null, void>(size, () => {});
  return Array.from({ length: size }, (_, rank) => ({
    parameters: model.parameters,
    passMemory: (tokens: number, targets: number) => model.passMemory(tokens, targets),
    setRecompute: (mode) => model.setRecompute(mode),
    accumulate: async (batch: Batch | null, { last = true } = {}): Promise<BatchMetrics> => {
      passes[rank]!.push(last);
      return batch === null ? noMetrics() : inTurn(() => model.accumulate(batch));
    },
    update: (options) => update.come(rank, options),
    discard: async () => {
      passes[rank]!.length = 0;
      if (rank === 0) await inTurn(() => model.discard());
    },
    score: (batch) => inTurn(() => model.score(batch)),
    save: (folder, options) => inTurn(() => model.save(folder, options)),
    saveState: (folder) => inTurn(() => model.saveState(folder)),
    loadState: (folder) => inTurn(() => model.loadState(folder)),
    completeCopies: () => complete.come(rank, null),
    checksum: () => inTurn(() => model.checksum()),
  }));
}

/** What one rank of a run heard, and what ended it. */
export interface RankRun {
  events: TrainEvent[];
  error: Error | null;
}

/** Trains on all ranks at once. A rank that fails is lost to the others. @param of what each rank is given */
export async function trainOnRanks(
  meeting: Meeting,
  of: (rank: number) => {
    model: TrainableModel;
    input: TrainerInput;
    heard?: (events: TrainEvent[]) => void;
    signal?: AbortSignal;
  },
): Promise<RankRun[]> {
  return Promise.all(
    meeting.ranks.map(async (ranks): Promise<RankRun> => {
      const { model, input, heard, signal } = of(ranks.rank);
      const events: TrainEvent[] = [];
      try {
        const trainer = new Trainer(model, { ...input, ranks });
        for await (const event of trainer.train(signal ? { signal } : {})) {
          events.push(event);
          heard?.(events);
        }
        return { events, error: null };
      } catch (error) {
        meeting.fail(ranks.rank);
        return { events, error: error as Error };
      }
    }),
  );
}
