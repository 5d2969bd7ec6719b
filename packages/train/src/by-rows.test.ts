import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BigramModel, rowsOf } from './bigram-model.case.js';
import { BY_ROWS, optionsForRows, type RowSettings } from './by-rows.js';
import { resolveTrainOptions, TRAIN_OPTIONS, type TrainOptions } from './config.js';
import type { LogRow } from './log.js';
import { Trainer } from './loop.js';
import type { Ranks } from './ranks.js';

const NAMES = Object.keys(BY_ROWS[0]!).filter((name) => name !== 'upTo') as (keyof RowSettings)[];
const forRows = (given: Partial<TrainOptions>, rows: number) => optionsForRows(resolveTrainOptions(given), rows);

/** What the table has for so many rows. */
function line(rows: number): RowSettings {
  const { upTo: _, ...settings } = BY_ROWS.find(({ upTo }) => upTo >= rows)!;
  return settings;
}

describe('the table', () => {
  it('has values that could be given, for every number of rows', () => {
    for (const [i, { upTo, ...settings }] of BY_ROWS.entries()) {
      expect(upTo).toBeGreaterThan(BY_ROWS[i - 1]?.upTo ?? 0);
      expect(resolveTrainOptions(settings)).toMatchObject(settings);
      for (const name of NAMES) expect(TRAIN_OPTIONS[name].accepts(null), name).toBe(true);
    }
    expect(BY_ROWS.at(-1)!.upTo).toBe(Number.POSITIVE_INFINITY);
  });

  it.each(BY_ROWS.slice(0, -1).map(({ upTo }, i) => [upTo, i]))(
    '%i rows have its line %i, one more the next',
    (rows, i) => {
      const { upTo: _, ...last } = BY_ROWS[i]!;
      const { upTo: __, ...next } = BY_ROWS[i + 1]!;
      expect(next).not.toEqual(last);
      expect(forRows({}, rows)).toMatchObject({ byRows: last, options: { ...last, warmupSteps: 0 } });
      expect(forRows({}, rows + 1)).toMatchObject({ byRows: next, options: { ...next, warmupSteps: 0 } });
    },
  );

  it('is that of docs/settings.md', () => {
    const page = readFileSync(new URL('../../../docs/settings.md', import.meta.url), 'utf8');
    const expected = BY_ROWS.map(({ upTo, ...settings }, i) => {
      const rows = Number.isFinite(upTo)
        ? `up to ${upTo.toLocaleString('en')}`
        : `more than ${BY_ROWS[i - 1]!.upTo.toLocaleString('en')}`;
      return `| ${[rows, ...NAMES.map((name) => settings[name])].join(' | ')} |`;
    });
    expect(page.split('\n').filter((text) => /^\| (up to|more than) /.test(text))).toEqual(expected);
  });
});

describe('an option that is given', () => {
  const given: RowSettings = {
    learningRate: 0.5,
    numTrainEpochs: 2.5,
    perDeviceTrainBatchSize: 3,
    lrSchedulerType: 'cosine',
    warmupRatio: 0.75,
  };

  it.each(NAMES)('%s stays, and the others follow from the rows', (name) => {
    for (const rows of [1, 500, 1e6]) {
      const { options, byRows } = forRows({ [name]: given[name] }, rows);
      expect(options).toMatchObject({ ...line(rows), [name]: given[name] });
      const { [name]: _, ...others } = line(rows);
      expect(byRows).toEqual(others);
    }
  });

  it('stays with all others', () => {
    expect(forRows(given, 30)).toMatchObject({ options: given, byRows: {} });
  });

  it('as null or undefined is left out', () => {
    const open = Object.fromEntries(NAMES.map((name, i) => [name, i % 2 ? null : undefined]));
    expect(forRows(open, 30).byRows).toEqual(line(30));
  });
});

describe('warm-up', () => {
  const { warmupRatio: _, ...withoutRatio } = line(30);

  it.each([0, 0.5, 7])('of warmupSteps %d leaves nothing to the ratio', (warmupSteps) => {
    const { options, byRows } = forRows({ warmupSteps }, 30);
    expect(options).toMatchObject({ warmupSteps, warmupRatio: 0 });
    expect(byRows).toEqual(withoutRatio);
    expect(forRows({ warmupSteps, warmupRatio: 0.3 }, 30).options).toMatchObject({ warmupSteps, warmupRatio: 0.3 });
  });

  it("is not added to the schedule 'constant', and nothing is said of it", () => {
    const notes: string[] = [];
    const checked = resolveTrainOptions({ lrSchedulerType: 'constant' }, (note) => notes.push(note));
    const { options, byRows } = optionsForRows(checked, 30);
    expect(options.warmupRatio).toBe(0);
    const { lrSchedulerType: __, ...others } = withoutRatio;
    expect(byRows).toEqual(others);
    expect(notes).toEqual([]);
    expect(forRows({ lrSchedulerType: 'constant_with_warmup' }, 30).byRows.warmupRatio).toBe(line(30).warmupRatio);
  });
});

it('maxSteps leaves no epochs to decide', () => {
  const { numTrainEpochs: _, ...others } = line(30);
  expect(forRows({ maxSteps: 5 }, 30).byRows).toEqual(others);
  expect(forRows({ maxSteps: -1 }, 30).byRows).toEqual(line(30));
});

it('options that are filled in can be given again, for any rows', () => {
  for (const given of [{}, { warmupSteps: 3 }, { lrSchedulerType: 'constant' }, { maxSteps: 4 }] as const) {
    const { options } = forRows(given, 30);
    expect(forRows(options, 1e6)).toEqual({ options, byRows: {} });
  }
});

it("with compat 'trl' the defaults are TRL's, whatever the rows", () => {
  const trl = {
    learningRate: 2e-5,
    numTrainEpochs: 3,
    perDeviceTrainBatchSize: 8,
    lrSchedulerType: 'linear',
    warmupRatio: 0,
    warmupSteps: 0,
  };
  for (const rows of [1, 500, 1e6]) {
    expect(forRows({ compat: 'trl' }, rows)).toMatchObject({ options: trl, byRows: {} });
    expect(forRows({ compat: 'trl', learningRate: null, numTrainEpochs: 1 }, rows)).toMatchObject({
      options: { ...trl, numTrainEpochs: 1 },
      byRows: {},
    });
  }
});

describe('a Trainer', () => {
  const V = 7;
  const edge = BY_ROWS[0]!.upTo;
  const rows = (count: number) => rowsOf(new Array(count).fill(4), V);
  const trainer = (count: number, options: Partial<TrainOptions> = {}, size = 1) => {
    const ranks: Ranks = { rank: 0, size, gather: async () => [] };
    return new Trainer(new BigramModel(V), { trainRows: rows(count), options, ranks });
  };

  it('trains with what its number of rows decides', async () => {
    for (const count of [edge, edge + 1]) {
      const training = trainer(count, { loggingSteps: 1 });
      const { learningRate, numTrainEpochs, perDeviceTrainBatchSize } = line(count);
      const log: LogRow[] = [];
      for await (const event of training.train()) if (event.type === 'log') log.push(event.row);
      expect(log.length).toBe(Math.ceil(count / perDeviceTrainBatchSize) * numTrainEpochs);
      expect(Math.max(...log.map(({ learning_rate }) => learning_rate!))).toBe(learningRate);
      expect(training.byRows).toEqual(line(count));
    }
  });

  it('counts rows, not packs of them', () => {
    const packed = trainer(edge + 1, { packing: true, maxLength: 8 });
    expect(packed.schedule.batchesPerEpoch).toBeLessThan(edge / line(edge + 1).perDeviceTrainBatchSize);
    expect(packed.byRows).toEqual(line(edge + 1));
  });

  it('counts the rows of all ranks; accumulation and ranks multiply the rows of an update', () => {
    const two = trainer(edge + 1, { gradientAccumulationSteps: 3 }, 2);
    expect(two.byRows).toEqual(line(edge + 1));
    const { itemsPerBatch, batchesPerUpdate } = two.schedule;
    expect(itemsPerBatch * batchesPerUpdate).toBe(2 * 3 * line(edge + 1).perDeviceTrainBatchSize);
  });
});
