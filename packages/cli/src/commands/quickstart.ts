import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { flag, InputError, integer, optional, text } from '@gemmatune/base';
import { DEVICE_OPTIONS, type FinetuneOptions, type FinetuneResult, finetune } from '@gemmatune/run';
import { occupants } from '@gemmatune/train';
import { command, type Screen } from '../command.js';
import { resultText, watchRun } from '../watch-run.js';

/** The tiny base model, its rows and settings: `model/`, `train.jsonl`, `eval.jsonl`, `settings.json`. */
const ASSETS = fileURLToPath(new URL('../../assets/quickstart', import.meta.url));
const DEFAULT_OUTPUT = 'gemmatune-quickstart';
const NAMES = { model: 'the tiny model of gemmatune quickstart', data: 'the rows of gemmatune quickstart' };

export const quickstart = command({
  usage: '[--output-dir DIR]',
  notes: ['Trains a tiny Gemma 3 that comes with this program, on rows that come with it. Needs no network.'],
  options: {
    outputDir: text(`Where to write. Default: ./${DEFAULT_OUTPUT}, with a number behind it where that is taken.`),
    overwrite: flag('Replace what an earlier call wrote to --output-dir.'),
    n: integer('Rows to generate calls for before and after training.', 144, { min: 1 }),
    maxSteps: optional(integer('Stop after so many updates. Default: as settings.json says.', 1, { min: 1 })),
    ...DEVICE_OPTIONS,
  },
  async run({ outputDir: wanted, overwrite, n: evaluate, maxSteps, device, dtype, threads }, context) {
    if (!existsSync(join(ASSETS, 'model', 'config.json')))
      throw new InputError(`${ASSETS} holds no model, expected the files this program comes with; install it again.`);
    const settings = JSON.parse(await readFile(join(ASSETS, 'settings.json'), 'utf8')) as Partial<FinetuneOptions>;
    const options = {
      ...settings,
      ...(maxSteps !== null && { maxSteps }),
      ...{ model: join(ASSETS, 'model'), train: join(ASSETS, 'train.jsonl'), evalFile: join(ASSETS, 'eval.jsonl') },
      ...{
        evaluate,
        overwrite,
        device,
        dtype,
        threads,
        outputDir: wanted ?? (overwrite ? DEFAULT_OUTPUT : await freeFolder()),
      },
    };
    context.note('A tiny Gemma 3 learns to call functions it has not seen: evaluate, train, evaluate again.');
    return watchRun(finetune(options, { signal: context.signal, names: NAMES }), context, { dtype, forPeople });
  },
});

/** The result, and what to try next. */
function forPeople(result: FinetuneResult, screen: Screen): string {
  if (result.status !== 'completed') return resultText(result, screen);
  return [
    resultText(result, screen),
    `Look at one call:  npx gemmatune predict --model ${result.output_dir} --rows ${relative('', join(ASSETS, 'eval.jsonl'))} --index 0`,
    `The real model:    HF_TOKEN=… npx gemmatune finetune --model google/functiongemma-270m-it \\`,
    '                     --dataset interstellarninja/hermes_reasoning_tool_use --take 3000 --eval 300 --evaluate 50 --output-dir my-model',
    '',
  ].join('\n');
}

/** The default folder, or the first numbered one that holds no model yet: running twice must work. */
async function freeFolder(): Promise<string> {
  for (let i = 1; ; i++) {
    const folder = i === 1 ? DEFAULT_OUTPUT : `${DEFAULT_OUTPUT}-${i}`;
    if ((await occupants(folder)).length === 0) return folder;
  }
}
