import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { choice, flag, integer, required, text } from '@gemmatune/base';
import { TRAIN_OPTION_ALIASES, TRAIN_OPTIONS } from '@gemmatune/train';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from './config-file.js';
import { parseWords, settle, UsageError } from './options.js';

const grammar = {
  options: {
    model: required('A model.', 'a model folder'),
    out: text('Where.'),
    maxNewTokens: integer('How many.', 128, { min: 1 }),
    noSpecialTokens: flag('Bare.'),
    format: choice('How', ['native', 'tutorial'], 'native'),
    ...TRAIN_OPTIONS,
  },
  aliases: TRAIN_OPTION_ALIASES,
  alsoAccepts: ['bf16', 'completion_only_loss'],
};
const parse = (...words: string[]) => {
  const call = parseWords(words, grammar);
  return { ...Object.fromEntries([...call.given].map(([name, { value }]) => [name, value])), ...call.extras };
};

describe('parseWords', () => {
  it('reads kebab, camel and snake case, and TRL names', async () => {
    expect(parse('--max-new-tokens', '7', '--learningRate=5e-5', '--per_device_train_batch_size', '2')).toEqual({
      maxNewTokens: 7,
      learningRate: 5e-5,
      perDeviceTrainBatchSize: 2,
    });
    expect(parse('--max_seq_length', '512', '--evaluation-strategy', 'steps')).toEqual({
      maxLength: 512,
      evalStrategy: 'steps',
    });
  });

  it('knows switches with and without a value, and their negation', async () => {
    expect(parse('--packing', '--no-special-tokens')).toEqual({ packing: true, noSpecialTokens: true });
    expect(parse('--packing', 'False', '--no-overwrite')).toEqual({ packing: false, overwrite: false });
    expect(parse('--bf16', 'True', '--completion-only-loss')).toEqual({ bf16: true, completion_only_loss: true });
  });

  it('takes --resume alone or with a folder', async () => {
    expect(parse('--resume', '--max-steps', '3')).toEqual({ resume: true, maxSteps: 3 });
    expect(parse('--resume', 'out/checkpoint-4')).toEqual({ resume: 'out/checkpoint-4' });
  });

  it('keeps texts that look like numbers and takes negative numbers', async () => {
    expect(parse('--model', '270', '--out=a=b', '--max-steps', '-1')).toEqual({
      model: '270',
      out: 'a=b',
      maxSteps: -1,
    });
  });

  it.each([
    [['--modl', 'x'], '--modl is no option of this command; did you mean --model.'],
    [['--warmup_ration', '1'], '--warmup_ration is no option of this command; did you mean --warmup-ratio.'],
    [['--zzz'], '--zzz is no option of this command; see --help for those it has.'],
    [['--max-new-tokens', '0'], "--max-new-tokens: found '0', expected an integer of at least 1."],
    [['--max-new-tokens', 'many'], "--max-new-tokens: found 'many', expected an integer of at least 1."],
    [['--format', 'json'], "--format: found 'json', expected 'native' or 'tutorial'."],
    [['--out'], '--out has no value, expected a text.'],
    [['--out', '--packing'], '--out has no value, expected a text.'],
    [['--no-packing=1'], "--no-packing: found the value '1', expected none."],
    [['-x'], '-x is no option of this command; see --help for those it has.'],
  ])('refuses %j', async (words, message) => {
    expect(() => parseWords(words, grammar)).toThrow(new UsageError(message));
  });
});

describe('settle', () => {
  it('lets the call win over the configuration and the configuration over defaults', async () => {
    const call = parseWords(['--model', 'm', '--learning-rate', '0.1'], grammar);
    const { values, given } = settle(call, grammar, { learning_rate: 0.2, warmupRatio: 0.5 }, 'c.json');
    expect(values).toMatchObject({ model: 'm', learningRate: 0.1, warmupRatio: 0.5, maxNewTokens: 128 });
    expect([...given].sort()).toEqual(['learningRate', 'model', 'warmupRatio']);
  });

  it.each([
    [{ wram_up: 1 }, 'c.json: wram_up is no option of this command'],
    [{ learningRate: '5e-5' }, "c.json: learningRate: found '5e-5', expected a number of at least 0."],
    [{ learningRate: 1, learning_rate: 1 }, 'c.json: learning_rate is given a second time under another name'],
    [{}, '--model is missing, expected a model folder.'],
  ])('refuses the configuration %j', async (config, message) => {
    expect(() => settle(parseWords([], grammar), grammar, config, 'c.json')).toThrow(message);
  });
});

describe('readConfig', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gemmatune-config-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('reads JSON and modules', async () => {
    await writeFile(join(folder, 'a.json'), '{"maxSteps": 3}');
    await writeFile(join(folder, 'a.mjs'), 'export default { maxSteps: 2 + 2 };');
    expect(await readConfig(join(folder, 'a.json'))).toEqual({ maxSteps: 3 });
    expect(await readConfig(join(folder, 'a.mjs'))).toEqual({ maxSteps: 4 });
  });

  it('names the file it refuses', async () => {
    const broken = join(folder, 'broken.json');
    await writeFile(broken, '[1, 2');
    await expect(readConfig(broken)).rejects.toThrow(`${broken}: `);
    await writeFile(broken, '[1, 2]');
    await expect(readConfig(broken)).rejects.toThrow('found [1,2], expected an object of options');
    await expect(readConfig(join(folder, 'none.json'))).rejects.toThrow('there is no such file');
    await writeFile(join(folder, 'empty.mjs'), '');
    await expect(readConfig(join(folder, 'empty.mjs'))).rejects.toThrow('found nothing, expected an object');
  });
});
