import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { flag, InputError, integer, optional, text } from '@gemmatune/base';
import { occupants, resolveTrainOptions } from '@gemmatune/train';
import { command } from '../command.js';
import { metricsTable } from '../evaluation.js';
import { DONE, INTERRUPTED } from '../exit-status.js';
import { claimOutput, runFinetune } from '../finetune.js';
import { DEVICE_OPTIONS } from '../model-source.js';

/** The tiny base model, its rows and settings: `model/`, `train.jsonl`, `eval.jsonl`, `settings.json`. */
const ASSETS = fileURLToPath(new URL('../../assets/quickstart', import.meta.url));
/** How this program is called here: from a checkout, or from where it was installed. */
const PROGRAM = existsSync(new URL('../../../../pnpm-workspace.yaml', import.meta.url))
  ? 'npx pnpm gemmatune'
  : 'npx gemmatune';
const DEFAULT_OUTPUT = 'gemmatune-quickstart';

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
  async run({ outputDir: wanted, overwrite, n, maxSteps, ...device }, context) {
    if (!existsSync(join(ASSETS, 'model', 'config.json')))
      throw new InputError(`${ASSETS} holds no model, expected the files this program comes with; install it again.`);
    const outputDir = wanted ?? (overwrite ? DEFAULT_OUTPUT : await freeFolder());
    const settings = JSON.parse(await readFile(join(ASSETS, 'settings.json'), 'utf8')) as Record<string, unknown>;
    const train = {
      ...resolveTrainOptions({ ...settings, ...(maxSteps !== null && { maxSteps }), outputDir, overwrite }),
      outputDir,
    };
    await claimOutput(train);

    context.note('A tiny Gemma 3 learns to call functions it has not seen: evaluate, train, evaluate again.');
    const result = await runFinetune(
      {
        folder: join(ASSETS, 'model'),
        baseModel: 'the tiny model of gemmatune quickstart',
        dataset: 'the rows of gemmatune quickstart',
        trainFile: join(ASSETS, 'train.jsonl'),
        evalFile: join(ASSETS, 'eval.jsonl'),
        format: 'native',
        evaluate: n,
        maxNewTokens: 128,
        maxNewTokensAfter: 128,
        device,
        train,
      },
      context,
    );
    if (result.status === 'interrupted') return INTERRUPTED;
    const { before, after, report } = result;
    await context.print(
      context.json
        ? `${JSON.stringify(result)}\n`
        : `${[
            metricsTable({ before: before!, after: after! }),
            '',
            `Model:  ${outputDir}`,
            `Report: ${report}`,
            '',
            `Look at one call:  ${PROGRAM} predict --model ${outputDir} --rows ${relative('', join(ASSETS, 'eval.jsonl'))} --index 0`,
            `The real model:    HF_TOKEN=… ${PROGRAM} finetune --model google/functiongemma-270m-it \\`,
            '                     --dataset interstellarninja/hermes_reasoning_tool_use --take 3000 --eval 300 --evaluate 50 --output-dir my-model',
            '',
          ].join('\n')}`,
    );
    return DONE;
  },
});

/** The default folder, or the first numbered one that holds no model yet: running twice must work. */
async function freeFolder(): Promise<string> {
  for (let i = 1; ; i++) {
    const folder = i === 1 ? DEFAULT_OUTPUT : `${DEFAULT_OUTPUT}-${i}`;
    if ((await occupants(folder)).length === 0) return folder;
  }
}
