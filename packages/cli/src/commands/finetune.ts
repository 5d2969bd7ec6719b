import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { prepareFiles } from '@gemmatune/data';
import { KNOWN_OPTION_NAMES, resolveTrainOptions, TRAIN_OPTION_ALIASES, TRAIN_OPTIONS } from '@gemmatune/train';
import { type Context, command } from '../command.js';
import { metricsTable } from '../evaluation.js';
import { DONE, INTERRUPTED } from '../exit-status.js';
import { claimOutput, type FinetuneResult, runFinetune } from '../finetune.js';
import { checkDevice, DEVICE_OPTIONS, modelFolder, modelOption } from '../model-source.js';
import { count, required, text, UsageError } from '../options.js';
import { naming } from '../output.js';
import { datasetFiles, formatOption } from '../rows.js';
import { reportLines } from './prepare.js';

const options = {
  model: modelOption,
  train: text(
    'Rows to train on: those of prepare, {messages, tools}, {prompt, completion}, {text} or {input_ids, labels?}.',
  ),
  evalFile: text('Rows for evaluation, of the same kinds.'),
  dataset: text(
    'Instead of --train and --eval-file: prepare this data set (a file or Hub id) into OUTPUT_DIR/data first.',
  ),
  split: text('Split of a Hub data set.', 'train'),
  take: count('With --dataset: how many rows to take after the shuffle. Default: all.', null, 1),
  eval: count('With --dataset: how many of those, the last ones, are for evaluation.', 0),
  format: formatOption,
  evaluate: count(
    'Generate calls for so many rows of the evaluation side before and after training: rows of prepare, or conversations that end in one call.',
    0,
  ),
  maxNewTokens: count('With --evaluate: most tokens to generate for a row.', 128, 1),
  maxNewTokensAfter: count('The same after training. Default: as before.', null, 1),
  ...DEVICE_OPTIONS,
  devices: count('Devices to train on; this version has one.', 1, 1),
  ...TRAIN_OPTIONS,
  outputDir: required('Folder for the model, checkpoints and report.html.', 'a folder'),
};

export const finetune = command({
  usage: '--model M (--train F [--eval-file F] | --dataset D [--take N] [--eval N]) --output-dir DIR [options]',
  notes: [
    'Names of TRL and transformers (per_device_train_batch_size, warmup_ratio, max_seq_length, …) are accepted too.',
    'With --dataset, --seed decides the shuffle (40 where not given) and the order of training; --data-seed the latter alone.',
    'Without --eval-steps or --eval-strategy, evaluation rows are scored after every epoch. Ctrl-C stops after the running',
    'pass (a micro-batch, on the CPU) with a checkpoint; --resume goes on from it.',
    'On a GPU products are of bfloat16, with float32 master weights; the micro-batches of an update are computed in as few passes as',
    'its memory takes, which changes no result but by the rounding of sums. The plan is printed before training.',
  ],
  options,
  aliases: TRAIN_OPTION_ALIASES,
  alsoAccepts: KNOWN_OPTION_NAMES.filter(
    (name) => !Object.hasOwn(TRAIN_OPTIONS, name) && !Object.hasOwn(TRAIN_OPTION_ALIASES, name),
  ),
  async run(given, context) {
    if (given.devices > 1)
      throw new UsageError(`--devices: found ${given.devices}, expected 1: this version trains on one device.`);
    if ((given.train === null) === (given.dataset === null))
      throw new UsageError('Expected one of --train and --dataset: the rows to train on.');
    const evalRows = given.dataset === null ? given.evalFile !== null : given.eval > 0;
    if (given.evaluate > 0 && !evalRows)
      throw new UsageError(
        '--evaluate needs rows that are not trained on: give --eval-file, or --eval with --dataset.',
      );

    checkDevice(given.device);
    const train = { ...trainOptions(context, given, evalRows), outputDir: given.outputDir };
    await claimOutput(train);
    const folder = await modelFolder(given.model, context);
    const files =
      given.dataset === null
        ? { trainFile: given.train!, evalFile: given.evalFile }
        : await prepared(given.dataset, given, context);
    const result = await runFinetune(
      {
        folder,
        baseModel: given.model,
        dataset: given.dataset ?? given.train!,
        ...files,
        format: given.format,
        evaluate: given.evaluate,
        maxNewTokens: given.maxNewTokens,
        maxNewTokensAfter: given.maxNewTokensAfter ?? given.maxNewTokens,
        device: given,
        train,
      },
      context,
    );
    await context.print(context.json ? `${JSON.stringify(result)}\n` : forPeople(result));
    return result.status === 'completed' ? DONE : INTERRUPTED;
  },
});

/** What was given, checked by the trainer's own rules; TRL's names without effect are told of. */
function trainOptions({ given, extras, note }: Context, values: Record<string, unknown>, evalRows: boolean) {
  const own = Object.fromEntries(
    [...given].filter((name) => Object.hasOwn(TRAIN_OPTIONS, name)).map((name) => [name, values[name]]),
  );
  const { compat } = values;
  if (evalRows && compat !== 'trl' && !given.has('evalSteps') && !given.has('evalStrategy')) own.evalStrategy = 'epoch';
  return resolveTrainOptions({ ...own, ...extras }, note);
}

/** Rows of a data set, in the output folder, where a resumed run finds them again. */
async function prepared(
  dataset: string,
  {
    split,
    take,
    eval: evalRows,
    seed,
    outputDir,
    overwrite,
    resume,
  }: {
    split: string;
    take: number | null;
    eval: number;
    seed: number;
    outputDir: string;
    overwrite: boolean;
    resume: boolean | string;
  },
  context: Context,
): Promise<{ trainFile: string; evalFile: string | null }> {
  const data = join(outputDir, 'data');
  const files = { trainFile: join(data, 'train.jsonl'), evalFile: evalRows > 0 ? join(data, 'eval.jsonl') : null };
  if (resume !== false && existsSync(files.trainFile)) return files;
  const source = await datasetFiles(dataset, split, context);
  const options = {
    seed: context.given.has('seed') ? seed : 40,
    eval: evalRows,
    ...(take !== null && { take }),
    overwrite,
  };
  const report = await naming(data, prepareFiles(source, data, options));
  for (const line of reportLines(report)) context.note(line);
  return files;
}

function forPeople({
  status,
  output_dir,
  global_step,
  train_loss,
  before,
  after,
  folder,
  report,
}: FinetuneResult): string {
  if (status === 'interrupted')
    return folder === null
      ? 'Interrupted before the first update: nothing was written.\n'
      : `Interrupted after update ${global_step}. The same command with --resume goes on from ${folder}\n`;
  const lines = before && after ? [metricsTable({ before, after }), ''] : [];
  return [
    ...lines,
    `Trained ${global_step} updates, mean loss ${train_loss?.toFixed(4) ?? 'not finite'}.`,
    `Model:  ${output_dir}`,
    `Report: ${report}`,
    '',
  ].join('\n');
}
