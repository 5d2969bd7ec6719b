/** A run as an embedding program has it. What the command line makes of it is tested there. */
import { existsSync, mkdtempSync } from 'node:fs';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ValuesOf } from '@gemmatune/base';
import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest';
import type { FinetuneEvent, FinetuneResult } from './events.js';
import { type FinetuneContext, finetune } from './finetune.js';
import type { FINETUNE_OPTIONS, FinetuneOptions } from './options.js';

const TINY = fileURLToPath(new URL('../../../test/golden/tiny', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'gemmatune-run-'));
afterAll(() => rm(folder, { recursive: true }));
const at = (...parts: string[]) => join(folder, ...parts);
const parameters = { type: 'object', properties: { city: { type: 'string', description: 'c' } }, required: ['city'] };
const toolRow = (city: string) => ({
  user_content: `Weather in ${city}?`,
  tool_name: 'get_weather',
  tool_arguments: JSON.stringify({ city }),
  hf_tools: [{ type: 'function', function: { name: 'get_weather', description: 'w', parameters } }],
});
const jsonl = (rows: unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

beforeAll(async () => {
  await cp(TINY, at('model'), { recursive: true });
  const config = JSON.parse(await readFile(join(TINY, 'config.json'), 'utf8'));
  await writeFile(at('model', 'config.json'), JSON.stringify({ ...config, max_position_embeddings: 2048 }));
  await writeFile(at('train.jsonl'), jsonl(['Porto', 'Lyon', 'Bonn', 'Bern', 'Rome', 'Oslo'].map(toolRow)));
  await writeFile(at('eval.jsonl'), jsonl(['Riga', 'Kiel'].map(toolRow)));
});

const optionsOf = (out: string, more: Partial<FinetuneOptions> = {}): FinetuneOptions => ({
  ...{ model: at('model'), train: at('train.jsonl'), evalFile: at('eval.jsonl'), outputDir: at(out) },
  ...{ evaluate: 2, maxNewTokens: 4, dtype: 'float32', learningRate: 1e-3, maxSteps: 3, loggingSteps: 1, ...more },
  perDeviceTrainBatchSize: 2,
});

async function heard(
  options: FinetuneOptions,
  context: FinetuneContext = {},
  each: (event: FinetuneEvent) => boolean | undefined = () => undefined,
) {
  const events: FinetuneEvent[] = [];
  for await (const event of finetune(options, context)) {
    events.push(event);
    if (each(event) === false) break;
  }
  const result = events.flatMap((event) => (event.type === 'result' ? [event.result] : []))[0];
  return { events, types: events.map(({ type }) => type), result: result as FinetuneResult };
}

describe('a run', () => {
  it('tells its stages in order, and ends in its result', async () => {
    const { events, types, result } = await heard(optionsOf('whole'));
    const stages = types.filter((type, i) => type !== types[i - 1] && type !== 'progress' && type !== 'generating');
    expect(stages.slice(0, 6)).toEqual(['begin', 'encoded', 'model', 'by-rows', 'evaluation', 'start']);
    expect(stages.slice(-4)).toEqual(['end', 'evaluation', 'report', 'result']);
    const judged = events.flatMap((event) => (event.type === 'evaluation' ? [event] : []));
    expect(judged.map(({ when, evaluation }) => [when, evaluation.predictions.length])).toEqual([
      ['before', 2],
      ['after', 2],
    ]);
    expect(result).toMatchObject({ status: 'completed', global_step: 3, train_rows: 6, eval_rows: 2 });
    expect(result.before).toMatchObject({ n_eval: 2 });
    expect(result.after).toEqual({ n_eval: 2, ...judged[1]!.evaluation.metrics, counts: judged[1]!.evaluation.counts });
    expect(JSON.parse(await readFile(at('whole', 'result.json'), 'utf8'))).toEqual(result);
    expect(result.trial).toBe((events[0] as FinetuneEvent & { type: 'begin' }).trial);
    const again = await heard(optionsOf('whole'));
    expect(again.types).toEqual(['result']);
    expect(again.result).toEqual({ ...result, already: true });
  });

  it('names neither in the report nor in the record a path of this machine', async () => {
    for (const name of ['report.html', 'gemmatune.json'])
      expect(await readFile(at('whole', name), 'utf8'), name).not.toContain(folder);
  });

  it('tells the learning rate of each pass', async () => {
    const { events } = await heard(
      optionsOf('rates', { evaluate: 0, lrSchedulerType: 'constant', saveStrategy: 'no' }),
    );
    const rates = events.flatMap((event) => (event.type === 'progress' ? [event.learningRate] : []));
    expect(new Set(rates)).toEqual(new Set([1e-3]));
  });
});

describe('a caller who', () => {
  it('leaves in any stage lets go of the model and the folder, and the same call goes on', async () => {
    const whole = await heard(optionsOf('straight'));
    for (const type of ['encoded', 'generating', 'progress', 'log'] as const) {
      const left = await heard(optionsOf(type), {}, (event) => event.type !== type);
      expect(left.types.at(-1)).toBe(type);
      const again = await heard(optionsOf(type));
      expect(again.result.weights_sha256).toBe(whole.result.weights_sha256);
    }
  });

  it('aborts while it trains gets a checkpoint and a result', async () => {
    const stop = new AbortController();
    const { result, types } = await heard(optionsOf('aborted'), { signal: stop.signal }, (event) => {
      if (event.type === 'log' && event.row.step === 2) stop.abort();
      return true;
    });
    expect(result).toMatchObject({
      status: 'aborted',
      global_step: 2,
      folder: at('aborted', 'checkpoint-2'),
      after: null,
    });
    expect(types.at(-1)).toBe('result');
    const on = await heard(optionsOf('aborted'));
    const start = on.events.find((event) => event.type === 'start');
    expect(start).toMatchObject({ step: 2, resumedFrom: at('aborted', 'checkpoint-2') });
  });

  it('aborts before hears why', async () => {
    const stop = new AbortController();
    const why = new Error('no time');
    stop.abort(why);
    await expect(heard(optionsOf('never'), { signal: stop.signal })).rejects.toBe(why);
  });

  it('gives something else is told what, before any work', async () => {
    const given: [Partial<FinetuneOptions>, string][] = [
      [{ train: null }, 'Expected one of `train` and `dataset`: the rows to train on.'],
      [{ evalFile: null }, '`evaluate` needs rows that are not trained on: give `evalFile`, or `eval` with `dataset`.'],
      [{ evaluate: -1 }, '`evaluate` is -1; expected an integer of at least 0.'],
      [{ model: 5 as never }, '`model` is 5; expected a model folder or Hub id.'],
      [{ outputDir: undefined as never }, '`outputDir` is missing; expected a folder.'],
      [{ modle: 'x' } as never, "Unknown option 'modle'; did you mean 'model'?"],
      [{ learning_rat: 1 } as never, "Unknown option 'learning_rat'; did you mean 'learningRate'?"],
    ];
    for (const [more, message] of given) {
      const refused = heard(optionsOf('refused', more));
      await expect(refused, message).rejects.toMatchObject({ code: 'ERR_GEMMATUNE_INPUT', message });
    }
    expect(existsSync(at('refused'))).toBe(false);
  });
});

it('has an interface that says the same as the table of options', () => {
  expectTypeOf<Required<FinetuneOptions>>().toEqualTypeOf<ValuesOf<typeof FINETUNE_OPTIONS>>();
});

it("takes TRL's names, and says which of them decide nothing", async () => {
  const { learningRate: _, ...options } = optionsOf('trl', { evaluate: 0, saveStrategy: 'no' });
  const trl = { ...options, learning_rate: 2e-3, eval_strategy: 'no', bf16: true } as FinetuneOptions;
  const { events, types } = await heard(trl);
  expect(events[0]).toEqual({ type: 'note', message: "`bf16` has no effect here: the model's dtype decides." });
  expect(types).not.toContain('evaluate');
  const { log_history } = JSON.parse(await readFile(at('trl', 'trainer_state.json'), 'utf8'));
  expect(Math.max(...log_history.flatMap((row: { learning_rate?: number }) => row.learning_rate ?? []))).toBe(2e-3);
});

it('prepares a data set in its folder once', async () => {
  const answer = (city: string) => ({
    role: 'assistant',
    tool_calls: [{ type: 'function', function: { name: 'get_weather', arguments: { city } } }],
  });
  const rows = ['Porto', 'Lyon', 'Bonn', 'Bern', 'Rome', 'Oslo'].map((city) => ({
    messages: [{ role: 'user', content: `Weather in ${city}?` }, answer(city)],
    tools: toolRow(city).hf_tools,
  }));
  await writeFile(at('messages.jsonl'), jsonl(rows));
  const { train: _, evalFile: __, ...options } = optionsOf('data', { evaluate: 1 });
  const ofDataset = { ...options, dataset: at('messages.jsonl'), eval: 2 };
  const first = await heard(ofDataset, {}, ({ type }) => type !== 'log');
  const prepared = first.events.find((event) => event.type === 'prepared');
  const report = { read: 6, train: { usable: 4 }, eval: { usable: 2 } };
  expect(prepared).toMatchObject({ folder: at('data', 'data'), report });
  expect((await readdir(at('data', 'data'))).sort()).toEqual(['eval.jsonl', 'report.json', 'train.jsonl']);
  const again = await heard(ofDataset);
  expect(again.types).not.toContain('prepared');
  expect(again.result).toMatchObject({ status: 'completed', train_rows: 4, eval_rows: 2 });
});
