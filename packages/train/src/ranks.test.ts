import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BigramModel, rowsOf } from './bigram-model.case.js';
import { BY_ROWS } from './by-rows.js';
import type { TrainOptions } from './config.js';
import type { EndEvent, TrainEvent } from './events.js';
import type { LogRow } from './log.js';
import { type TrainableModel, Trainer, type TrainerInput } from './loop.js';
import { Meeting, type RankRun, sharedBy, trainOnRanks } from './ranks.case.js';
import type { Ranks } from './ranks.js';

const V = 7;
/** 17 rows: an epoch ends with an update of one row where updates have 8, and with one of 5 where they have 12. */
const trainRows = rowsOf([5, 9, 4, 7, 3, 6, 8, 12, 3, 4, 10, 5, 6, 3, 7, 11, 4], V);
const evalRows = rowsOf([6, 4, 9, 5, 7], V);

const OPTIONS = {
  numTrainEpochs: 2,
  perDeviceTrainBatchSize: 2,
  gradientAccumulationSteps: 2,
  learningRate: 0.05,
  lrSchedulerType: 'cosine',
  warmupRatio: 0.3,
  weightDecay: 0.1,
  loggingSteps: 1,
  evalSteps: 3,
  perDeviceEvalBatchSize: 1,
  saveSteps: 2,
} satisfies Partial<TrainOptions>;

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'gemmatune-ranks-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

interface Run {
  model: BigramModel;
  meeting: Meeting;
  runs: RankRun[];
  /** Rank 0's. */
  events: TrainEvent[];
  end: EndEvent;
}

interface Changes {
  input?: Partial<TrainerInput>;
  /** Of one rank. */
  own?: (rank: number, door: TrainableModel) => Partial<TrainerInput> & { model?: TrainableModel };
  prepare?: (model: BigramModel) => void;
  /** Aborts a rank's own signal when it has heard so many events. */
  abort?: { rank: number; at: number };
}

async function run(
  size: number,
  options: Partial<TrainOptions>,
  { input, own, prepare, abort }: Changes = {},
): Promise<Run> {
  const model = new BigramModel(V);
  prepare?.(model);
  const meeting = new Meeting(size);
  const doors = size === 1 ? [model] : sharedBy(model, size);
  const runs = await trainOnRanks(meeting, (rank) => {
    const { model: door = doors[rank]!, ...changed } = own?.(rank, doors[rank]!) ?? {};
    const controller = new AbortController();
    const heard = (events: TrainEvent[]) => {
      if (rank === abort?.rank && events.length === abort.at) controller.abort();
    };
    const given = { trainRows, evalRows, ...input, options: { ...OPTIONS, ...options, ...changed.options } };
    return { model: door, input: { ...given, ...changed, options: given.options }, heard, signal: controller.signal };
  });
  return { model, meeting, runs, events: runs[0]!.events, end: runs[0]!.events.at(-1) as EndEvent };
}

async function succeeded(...given: Parameters<typeof run>): Promise<Run> {
  const result = await run(...given);
  for (const { error } of result.runs) if (error !== null) throw error;
  return result;
}

/** The rows of one rank's log, without wall-clock numbers. */
const log = (events: readonly TrainEvent[]): LogRow[] =>
  events.flatMap((event) => {
    const row = event.type === 'log' || event.type === 'evaluate' || event.type === 'end' ? event.row : null;
    return row === null
      ? []
      : [
          Object.fromEntries(
            Object.entries(row).filter(([key]) => !/runtime|per_second/.test(key)),
          ) as unknown as LogRow,
        ];
  });

/** Float64 sums in another order: a few units of the last place, which the updates carry on. */
function expectClose(found: LogRow[], expected: LogRow[]): void {
  expect(found.map((row) => Object.keys(row))).toEqual(expected.map((row) => Object.keys(row)));
  for (const [i, row] of expected.entries()) {
    for (const [key, value] of Object.entries(row)) {
      const own = found[i]![key as keyof LogRow]!;
      const error = Math.abs(own - value!);
      expect(error, `row ${i}, ${key}: ${own} for ${value}`).toBeLessThanOrEqual(1e-12 * Math.max(1, value!));
    }
  }
}

function expectSameWeights({ model }: Run, expected: Run): void {
  for (const [i, weight] of expected.model.weights.entries())
    expect(Math.abs(model.weights[i]! - weight), `weight ${i}`).toBeLessThanOrEqual(1e-12);
}

describe.each([2, 3, 4])('%i ranks', (size) => {
  it.each([
    ['a few rows a micro-batch', {}],
    ['one row a micro-batch', { perDeviceTrainBatchSize: 1 }],
    ['more ranks than rows in most updates', { perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 1 }],
    ['packs of rows', { packing: true, maxLength: 14 }],
    ['planned passes', { tokensPerPass: 13 }],
    ['long evaluation batches', { perDeviceEvalBatchSize: 2, evalSteps: 1 }],
  ] satisfies [string, Partial<TrainOptions>][])(
    'train as one with so many times the accumulation: %s',
    async (_, options) => {
      const accumulation = { ...OPTIONS, ...options }.gradientAccumulationSteps;
      const many = await succeeded(size, options);
      const one = await succeeded(1, { ...options, gradientAccumulationSteps: size * accumulation });
      expectClose(log(many.events), log(one.events));
      expectSameWeights(many, one);
      for (const { events } of many.runs) {
        expect(log(events)).toEqual(log(many.events));
        expect(events.at(-1)).toEqual(many.end);
      }
      expect(many.model.batches.length).toBeGreaterThan(one.model.updates.length);
      expect(many.events[0]).toMatchObject({ type: 'start', ranks: size });
      expect(many.meeting.gathered.filter((what) => what.startsWith('update ')).length).toBe(many.end.step);
    },
  );
});

describe('the passes of several ranks', () => {
  it('are told by all of them', async () => {
    const { events, runs } = await succeeded(2, { perDeviceTrainBatchSize: 1, evalStrategy: 'no', maxSteps: 1 });
    const progress = (heard: TrainEvent[]) => heard.filter((event) => event.type === 'progress');
    const last = progress(events).at(-1)!;
    expect(last).toMatchObject({ step: 1, microStep: 4, microSteps: 4 });
    expect(last.epoch).toBeCloseTo(4 / 17, 15);
    const [row] = log(events);
    expect(last.tokens).toBe(row!.num_tokens);
    expect(progress(runs[1]!.events).length).toBe(progress(events).length);
  });

  it('have the size that fits the rank with least room', async () => {
    const bytes = (tokens: number) => ({ none: tokens, elementwise: tokens, blocks: tokens });
    const room = (available: number | null) => ({
      own: (rank: number, door: TrainableModel) => ({
        model: {
          ...door,
          passMemory: (tokens: number) => ({ bytes: bytes(tokens), available: rank === 1 ? available : 60 / 0.95 }),
        },
      }),
    });
    const small = await succeeded(2, {}, room(20 / 0.95));
    for (const { events } of small.runs) expect(events[1]).toMatchObject({ type: 'plan', tokensPerPass: 20 });
    const failed = await run(2, {}, room(5));
    expect(failed.runs.map(({ error }) => error!.message.slice(0, 41))).toEqual([
      'Rank 1 failed: The longest row, 12 tokens',
      'The longest row, 12 tokens, takes 0.000 G',
    ]);
  });

  it('change no weight where an update has no targets', async () => {
    const empty = rowsOf([5, 4, 6, 7], V);
    for (const { labels } of empty.slice(1)) labels.fill(-100);
    const options = { perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 1, numTrainEpochs: 1, loggingSteps: 1 };
    const { events, runs, model } = await succeeded(
      2,
      { ...options, evalStrategy: 'no' },
      { input: { trainRows: empty } },
    );
    const codes = (heard: TrainEvent[]) => heard.flatMap((event) => (event.type === 'warning' ? [event.code] : []));
    expect(codes(events)).toEqual(['rows-without-targets', 'step-without-targets']);
    expect(codes(runs[1]!.events)).toEqual(codes(events));
    expect(model.updates.length).toBe(1);
  });

  it('diverge together', async () => {
    const prepare = (model: BigramModel) => {
      model.poison = (update) => (update >= 2 ? Number.NaN : 1);
    };
    const { runs } = await run(3, { nonFinitePatience: 2, evalStrategy: 'no' }, { prepare });
    for (const { error, events } of runs) {
      expect(error).toMatchObject({ code: 'ERR_GEMMATUNE_DIVERGED' });
      expect(events.at(-1)).toMatchObject({ reason: 'diverged', step: 3 });
    }
  });
});

describe('one rank', () => {
  it('asks nobody', async () => {
    const alone: Ranks = { rank: 0, size: 1, gather: () => Promise.reject(new Error('asked')) };
    const outputDir = join(root, 'run');
    const options = { ...OPTIONS, outputDir, loadBestModelAtEnd: true };
    const input = { trainRows, evalRows, options, ranks: alone, evalMetrics: async () => ({ score: 1 }) };
    for await (const _ of new Trainer(new BigramModel(V), input).train());
    const resume = JSON.parse(await readFile(join(outputDir, 'checkpoint-2', 'resume.json'), 'utf8'));
    expect(Object.keys(resume)).toEqual(['version', 'settings', 'data', 'state', 'files']);
  });
});

describe('an evaluation by itself', () => {
  it.each([null, 'trl'] as const)('gives on every rank the bits of one rank, compat %s', async (compat) => {
    const input = { trainRows, evalRows, options: { perDeviceEvalBatchSize: 2, compat } };
    const numbers = (row: LogRow | null) => Object.entries(row!).filter(([key]) => !/runtime|per_second/.test(key));
    const one = numbers(await new Trainer(new BigramModel(V), input).evaluate());
    const doors = sharedBy(new BigramModel(V), 4); // of 3 batches: one rank has none
    const { ranks } = new Meeting(4);
    const rows = await Promise.all(
      doors.map((door, r) => new Trainer(door, { ...input, ranks: ranks[r]! }).evaluate()),
    );
    for (const row of rows) expect(numbers(row)).toEqual(one);
  });
});

describe("the caller's own metrics", () => {
  it("are rank 0's, and may be shared", async () => {
    const asked: number[] = [];
    const { runs } = await succeeded(
      3,
      { evalSteps: 2, maxSteps: 2 },
      {
        input: {
          evalMetrics: async (_signal, ranks) => {
            const all = await ranks.gather('answers', Uint8Array.of(10 + ranks.rank));
            asked[ranks.rank] = all.reduce((sum, [answer]) => sum + answer!, 0);
            return { answers: asked[ranks.rank]!, own: ranks.rank };
          },
        },
      },
    );
    expect(asked).toEqual([33, 33, 33]);
    for (const { events } of runs) {
      expect(events.find((event) => event.type === 'evaluate')!.row).toMatchObject({ eval_answers: 33, eval_own: 0 });
    }
  });
});

describe('an abort on one rank', () => {
  it('stops all after the same update, with its checkpoint; resume ends as the whole run', async () => {
    const whole = await succeeded(2, {});
    const aborted = new Set<number>();
    for (let at = 1; at < whole.runs[1]!.events.length - 1; at += 2) {
      const outputDir = join(root, String(at));
      const first = await succeeded(2, { outputDir }, { abort: { rank: 1, at } });
      const [end, other] = first.runs.map(({ events }) => events.at(-1) as EndEvent);
      expect(other, `abort at event ${at}`).toEqual(end);
      if (end!.reason === 'completed') continue; // heard in the last update
      aborted.add(end!.step);
      expect(end!.folder).toBe(end!.step === 0 ? null : join(outputDir, `checkpoint-${end!.step}`));
      const second = await succeeded(2, { outputDir, resume: true });
      expect(second.end).toMatchObject({ reason: 'completed', step: whole.end.step });
      expect(second.runs[1]!.events[0]).toMatchObject({ type: 'start', step: end!.step, resumedFrom: end!.folder });
      expectSameWeights(second, whole);
      const { log_history } = JSON.parse(await readFile(join(outputDir, 'trainer_state.json'), 'utf8'));
      expect(log_history.length).toBe(log(whole.events).length);
    }
    expect([...aborted].sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });
});

describe('the folder of several ranks', () => {
  const others = (rank: number) => ({ options: { outputDir: join(root, rank === 0 ? 'run' : `rank-${rank}`) } });

  it('is written by rank 0 alone', async () => {
    const { runs } = await succeeded(3, { loadBestModelAtEnd: true }, { own: others });
    expect((await readdir(root)).sort()).toEqual(['run']);
    for (const { events } of runs) {
      const saved = events.flatMap((event) => (event.type === 'save' ? [event.folder] : []));
      expect(saved).toEqual(
        [2, 3, 4, 6]
          .slice(0, saved.length - 1)
          .map((s) => join(root, 'run', `checkpoint-${s}`))
          .concat(join(root, 'run')),
      );
    }
  });

  it('stops all where rank 0 cannot write', async () => {
    const prepare = (model: BigramModel) => {
      model.beforeSave = (folder) => {
        if (folder.includes('checkpoint-4')) throw Object.assign(new Error('write failed'), { code: 'ENOSPC' });
      };
    };
    const { runs } = await run(3, { outputDir: join(root, 'run') }, { prepare });
    for (const { error, events } of runs) {
      expect(error).toMatchObject({
        code: 'ERR_GEMMATUNE_FILE',
        message:
          `Checkpoint 4 could not be written to ${root}/run/checkpoint-4: no space is left on the disk; ` +
          `earlier checkpoints are untouched, so put that right and continue from ${root}/run/checkpoint-2 with resume.`,
      });
      expect(events.filter(({ type }) => type === 'save').length).toBe(1);
    }
  });

  it('gets no checkpoint of models that differ', async () => {
    let asked = 0;
    const { runs } = await run(
      3,
      { outputDir: join(root, 'run'), evalStrategy: 'no' },
      {
        own: (rank, door) =>
          rank === 0
            ? {}
            : { model: { ...door, checksum: async () => (rank === 2 && asked++ > 0 ? 'other' : door.checksum()) } },
      },
    );
    for (const { error } of runs) {
      expect(error).toMatchObject({
        code: 'ERR_GEMMATUNE_RANK',
        message:
          "The model of rank 2 is not rank 0's after update 2, though all must be equal bit for bit; nothing was written, so continue from an earlier checkpoint with `resume`.",
      });
    }
    expect(await readdir(join(root, 'run'))).toEqual([]);
  });

  it('is resumed by any number of ranks with the same rows in an update, and says so', async () => {
    const outputDir = join(root, 'run');
    const halves = { gradientAccumulationSteps: 2, maxSteps: 6 };
    const description = { collectives: 'gloo', wire: 'float32' };
    const whole = await succeeded(2, halves);
    await succeeded(2, { ...halves, outputDir }, { abort: { rank: 0, at: 12 }, input: { description } });
    const [checkpoint] = await readdir(outputDir);
    const { sharing } = JSON.parse(await readFile(join(outputDir, checkpoint!, 'resume.json'), 'utf8'));
    expect(sharing).toEqual({ ranks: 2, ...description });

    const same = await succeeded(
      2,
      { ...halves, outputDir: join(root, '2'), resume: join(outputDir, checkpoint!) },
      { input: { description } },
    );
    expect(same.events.some(({ type }) => type === 'warning')).toBe(false);
    for (const [size, accumulation] of [
      [4, 1],
      [1, 4],
    ] as const) {
      const options = { ...halves, gradientAccumulationSteps: accumulation, outputDir: join(root, `on-${size}`) };
      const resumed = await succeeded(size, { ...options, resume: join(outputDir, checkpoint!) });
      for (const { events } of resumed.runs) {
        expect(events.flatMap((event) => (event.type === 'warning' ? [[event.code, event.message]] : []))).toEqual([
          ['other-ranks', `The checkpoint was trained with ranks 2, and now with ${size}: sums are rounded otherwise.`],
        ]);
      }
      expectSameWeights(resumed, whole);
    }
    const other = await run(3, { ...halves, outputDir: join(root, 'on-3'), resume: join(outputDir, checkpoint!) });
    for (const { error } of other.runs) {
      expect(error).toMatchObject({
        code: 'ERR_GEMMATUNE_RESUME',
        message: `Checkpoint ${outputDir}/${checkpoint} cannot be continued: gradientAccumulationSteps was 4, and now it is 6.`,
      });
    }
  });

  it("is not resumed by another number of ranks with compat 'trl'", async () => {
    const outputDir = join(root, 'run');
    await succeeded(2, { compat: 'trl', outputDir, maxSteps: 4 }, { abort: { rank: 0, at: 8 } });
    const { runs } = await run(1, { compat: 'trl', outputDir, maxSteps: 4, resume: true });
    expect(runs[0]!.error!.message).toContain("it was trained by 2 ranks, and now there are 1; with compat 'trl'");
  });
});

describe('ranks that were not given the same', () => {
  it('number of rows hear of it, not of what follows from it', async () => {
    const edge = BY_ROWS[0]!.upTo;
    const own = (rank: number) => ({ trainRows: rowsOf(new Array(edge + rank).fill(4), V) });
    const open = { learningRate: null, numTrainEpochs: null, perDeviceTrainBatchSize: null };
    const { runs } = await run(2, open, { own });
    for (const { error } of runs)
      expect(error!.message).toContain(`Rank 1 differs from rank 0: trainRows is ${edge + 1}, rank 0 has ${edge}; `);
  });

  const rest = '; start every rank with the same settings, rows and model.';
  const fewer = rowsOf([5, 9, 4], V);
  const otherLabel = trainRows.map(({ inputIds, labels }, row) => ({
    inputIds,
    labels: labels.map((label, t) => (row === 3 && t === 1 ? -100 : label)),
  }));
  it.each([
    [{ options: { learningRate: 0.1 } }, 'learningRate is 0.1, rank 0 has 0.05'],
    [{ options: { outputDir: null } }, 'writes is false, rank 0 has true'],
    [{ trainRows: fewer }, 'trainRows is 3, rank 0 has 17'],
    [{ trainRows: otherLabel }, "trainSha256 is '"],
    [{ evalRows: fewer }, 'evalRows is 3, rank 0 has 5'],
    [{ evalMetrics: async () => ({}) }, 'evalMetrics is true, rank 0 has false'],
    [{ description: { device: 'cpu' } }, "device is 'cpu', rank 0 has none"],
    [{ weights: 'others' }, "weights is 'others', rank 0 has '"],
  ] satisfies [Partial<TrainerInput> & { weights?: string }, string][])(
    '%#: all refuse, naming it',
    async (given, what) => {
      const outputDir = join(root, 'run');
      const { weights, ...own } = { weights: undefined, ...given };
      const { runs, model } = await run(
        3,
        { outputDir },
        {
          own: (rank, door) => {
            if (rank !== 1) return {};
            return weights === undefined ? own : { model: { ...door, checksum: async () => weights } };
          },
        },
      );
      for (const { error } of runs) {
        expect(error).toMatchObject({ name: 'TrainError', code: 'ERR_GEMMATUNE_ARGUMENT' });
        expect(error!.message).toContain(`Rank 1 differs from rank 0: ${what}`);
        expect(error!.message.endsWith(rest)).toBe(true);
      }
      expect(model.batches).toEqual([]);
      expect(existsSync(outputDir)).toBe(false);
    },
  );
});
