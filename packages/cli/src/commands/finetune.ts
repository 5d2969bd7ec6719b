import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { choice, flag, integer, naming, number, optional, required, text, type ValuesOf } from '@gemmatune/base';
import { prepareFiles } from '@gemmatune/data';
import { type Group, parseDevice } from '@gemmatune/engine';
import { KNOWN_OPTION_NAMES, resolveTrainOptions, TRAIN_OPTION_ALIASES, TRAIN_OPTIONS } from '@gemmatune/train';
import { type Context, command } from '../command.js';
import { metricsTable } from '../evaluation.js';
import { DIVERGED, DONE, INTERRUPTED, PREEMPTED } from '../exit-status.js';
import { claimOutput, Diverged, type FinetuneRequest, type FinetuneResult, runFinetune } from '../finetune.js';
import { LogFile } from '../log-file.js';
import { checkDevice, DEVICE_OPTIONS, modelFolder, modelOption } from '../model-source.js';
import { UsageError } from '../options.js';
import { launch } from '../ranks/launch.js';
import { findPlace, type RankPlace } from '../ranks/place.js';
import { asRank, byRankZero, deviceOf, machineByMachine, threadsOf } from '../ranks/together.js';
import { datasetFiles, formatOption } from '../rows.js';
import {
  type Course,
  courseOf,
  modelIdentity,
  sha256Of,
  type Trial,
  trialOf,
  writeResult,
  writeTrial,
} from '../trial.js';
import { version } from '../version.js';
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
  take: optional(integer('With --dataset: how many rows to take after the shuffle. Default: all.', 1, { min: 1 })),
  eval: integer('With --dataset: how many of those, the last ones, are for evaluation.', 0, { min: 0 }),
  format: formatOption,
  evaluate: integer(
    'Generate calls for so many rows of the evaluation side before and after training: rows of prepare, or conversations that end in one call.',
    0,
    { min: 0 },
  ),
  maxNewTokens: integer('With --evaluate: most tokens to generate for a row.', 128, { min: 1 }),
  maxNewTokensAfter: optional(integer('The same after training. Default: as before.', 1, { min: 1 })),
  ...DEVICE_OPTIONS,
  devices: integer(
    'Devices of this machine to train on, a process each. Under torchrun, srun, mpirun and the like: 1.',
    1,
    { min: 1 },
  ),
  rank: optional(integer('Which of the ranks this process is, where no launcher says so.', 0, { min: 0 })),
  worldSize: optional(integer('How many ranks there are.', 1, { min: 1 })),
  localRank: optional(
    integer('Which of the ranks of this machine. Default: 0, or as --rank where they meet at a unix: address.', 0, {
      min: 0,
    }),
  ),
  localSize: optional(integer('How many ranks this machine has.', 1, { min: 1 })),
  address: text('Where ranks meet: tcp:host:port of rank 0, or unix:/folder/socket on one machine.'),
  collectives: choice('What carries gradients between ranks; auto: nccl for cuda', ['auto', 'gloo', 'nccl'], 'auto'),
  gradientWire: choice(
    'What gradients are on the way between ranks; bfloat16 for links below 5 GB/s. Sums are float32',
    ['float32', 'bfloat16'],
    'float32',
  ),
  sharded: {
    ...flag(
      'Each rank trains its slice of the vocabulary and updates its share of every layer. --no-sharded: all of it.',
    ),
    default: true,
  },
  joinTimeout: number('Seconds until all ranks must have come.', 300, { min: 1 }),
  rankTimeout: number('Seconds without a sign of life after which a rank is lost.', 30, { min: 1 }),
  offline: flag('No network: what is named by a Hub id must be in the cache.'),
  logFile: text('File for every row of the log, as JSON lines, when it is made.'),
  ...TRAIN_OPTIONS,
  outputDir: required('Folder for the model, checkpoints and report.html.', 'a folder'),
};

type Given = ValuesOf<typeof options>;

export const finetune = command({
  usage: '--model M (--train F [--eval-file F] | --dataset D [--take N] [--eval N]) --output-dir DIR [options]',
  notes: [
    'Names of TRL and transformers (per_device_train_batch_size, warmup_ratio, max_seq_length, …) are accepted too.',
    'With --dataset, --seed decides the shuffle (40 where not given) and the order of training; --data-seed the latter alone.',
    'Without --eval-steps or --eval-strategy, evaluation rows are scored after every epoch. Ctrl-C stops after the running',
    'pass (a micro-batch, on the CPU; the update, on several devices) with a checkpoint; --resume goes on from it.',
    'On a GPU products are of bfloat16, with float32 master weights; the micro-batches of an update are computed in as few passes as',
    'its memory takes, which changes no result but by the rounding of sums. The plan is printed before training.',
    'Learning rate, epochs, rows of a micro-batch, schedule and warm-up follow from the number of rows where they are left out',
    '(docs/settings.md); what they are is printed before training.',
    'The same call again: gives the result if there is one, else goes on from the newest checkpoint. trial.json says what made the result.',
    'Exit status: 0 done; 1 failed, also where another rank is lost; 2 the call or an input is wrong; 4 diverged; 75 stopped by SIGTERM,',
    'SIGUSR1 or SIGUSR2, with a checkpoint: call again; 130 Ctrl-C.',
  ],
  options,
  aliases: TRAIN_OPTION_ALIASES,
  alsoAccepts: KNOWN_OPTION_NAMES.filter(
    (name) => !Object.hasOwn(TRAIN_OPTIONS, name) && !Object.hasOwn(TRAIN_OPTION_ALIASES, name),
  ),
  async run(given, context) {
    checkCall(given);
    const place = findPlace(given, process.env, process.ppid);
    if (place.kind === 'alone') return train(given, context);
    if (place.kind === 'rank')
      return asRank(place, given, context, (group, own) => train(given, own, { place, group }));
    const { stdout, stderr, signal, words } = context;
    return launch({ words: ['finetune', ...words], place, stdout, stderr, signal });
  },
});

function checkCall(given: Given): void {
  if ((given.train === null) === (given.dataset === null))
    throw new UsageError('Expected one of --train and --dataset: the rows to train on.');
  if (given.evaluate > 0 && !hasEvalRows(given))
    throw new UsageError('--evaluate needs rows that are not trained on: give --eval-file, or --eval with --dataset.');
}

const hasEvalRows = ({ dataset, evalFile, eval: rows }: Given): boolean =>
  dataset === null ? evalFile !== null : rows > 0;

/** This process as one rank of several. */
interface Own {
  place: RankPlace;
  group: Group;
}

/** @returns the exit status */
async function train(given: Given, context: Context, own?: Own): Promise<number> {
  const { group = null, place = null } = own ?? {};
  const device = {
    device: place === null ? given.device : deviceOf(given.device, place),
    dtype: given.dtype,
    threads: place === null ? given.threads : threadsOf(given.threads, place),
  };
  checkDevice(device.device);
  const wire = given.gradientWire;
  const settings = { ...trainOptions(context, given), outputDir: given.outputDir };

  const known = await byRankZero(group, 'output folder', () => claimFolder(settings));
  const folder = await machineByMachine(group, place, 'base model', (again) =>
    modelFolder(given.model, context, again || given.offline),
  );
  const { trial, course } = await byRankZero(group, 'trial', async () => {
    const parts = { ...settings, ranks: group?.size ?? 1, gradientWire: group === null ? null : wire };
    const identified = await identify(given, parts, folder, context);
    return { trial: identified, course: await begin(identified, settings, known) };
  });
  if (course.course === 'finished') {
    await context.print(printed(context, { ...course.result, already: true } as Printed));
    return DONE;
  }
  // Of a run that ended before its first checkpoint there is nothing to go on from, but perhaps a model without its result.
  if (course.course === 'begun') Object.assign(settings, { resume: settings.resume || true, overwrite: true });

  const files =
    given.dataset === null
      ? { trainFile: given.train!, evalFile: given.evalFile }
      : await byRankZero(group, 'prepared rows', () => prepared(given.dataset!, given, settings.resume, context));
  await using log =
    given.logFile !== null && !(place && place.rank > 0)
      ? await LogFile.open(given.logFile, settings.resume !== false)
      : null;
  const request: FinetuneRequest = {
    folder,
    baseModel: given.model,
    dataset: given.dataset ?? given.train!,
    ...files,
    format: given.format,
    evaluate: given.evaluate,
    maxNewTokens: given.maxNewTokens,
    maxNewTokensAfter: given.maxNewTokensAfter ?? given.maxNewTokens,
    device,
    train: settings,
    ...(group && { ranks: { group, sharing: { collectives: given.collectives, wire, sharded: given.sharded } } }),
    ...(log && { onRow: (row) => log.put(row) }),
  };
  const named = ({ status, ...rest }: FinetuneResult): Printed => ({ status, trial: trial.trial, ...rest });
  const result = await runFinetune(request, context).catch(async (error) => {
    if (error instanceof Diverged && context.json) await context.print(printed(context, named(error.result)));
    throw error;
  });
  if (result.status === 'completed' && !(place && place.rank > 0)) {
    await writeTrial(given.outputDir, { ...trial, by_rows: result.by_rows });
    await writeResult(given.outputDir, named(result));
  }
  await context.print(printed(context, named(result)));
  return STATUSES[result.status];
}

const STATUSES = { completed: DONE, interrupted: INTERRUPTED, preempted: PREEMPTED, diverged: DIVERGED } as const;

/** Whether the folder knows its trial; one that does not must be free to be written to. */
async function claimFolder(settings: FinetuneRequest['train']): Promise<{ trial: boolean }> {
  const trial = !settings.overwrite && existsSync(join(settings.outputDir, 'trial.json'));
  await claimOutput(trial ? { ...settings, resume: true } : settings);
  return { trial };
}

/** What decides the result of this call. */
async function identify(
  { dataset, split, take, eval: evalRows, seed, ...given }: Given,
  {
    outputDir: _place,
    overwrite: _how,
    resume: _from,
    loggingSteps: _told,
    loggingFirstStep: _first,
    saveTotalLimit: _kept,
    ...settings
  }: FinetuneRequest['train'] & { ranks: number; gradientWire: string | null },
  folder: string,
  context: Context,
): Promise<Trial> {
  const rows =
    dataset === null
      ? {
          train: await sha256Of([given.train!]),
          evalFile: given.evalFile === null ? null : await sha256Of([given.evalFile]),
        }
      : {
          dataset: await sha256Of(await datasetFiles(dataset, split, context, given.offline)),
          take,
          eval: evalRows,
          shuffle: shuffleSeed(seed, context),
        };
  return trialOf({
    version: await version(),
    model: await modelIdentity(folder),
    ...rows,
    ...settings,
    format: given.format,
    evaluate: given.evaluate,
    maxNewTokens: given.maxNewTokens,
    maxNewTokensAfter: given.maxNewTokensAfter ?? given.maxNewTokens,
    device: parseDevice(given.device)!.device,
    dtype: given.dtype,
  });
}

/**
 * How the run begins, remembered in its folder.
 * @throws UsageError where the folder holds the work of another trial; with resume the trainer judges whether a checkpoint fits
 */
async function begin(
  trial: Trial,
  { outputDir, overwrite, resume }: FinetuneRequest['train'],
  known: { trial: boolean },
): Promise<Course> {
  const course: Course = known.trial ? await courseOf(outputDir, trial) : { course: 'fresh' };
  if (course.course === 'other') {
    if (resume !== false) return { course: 'fresh' };
    throw new UsageError(
      `The output folder ${outputDir} holds another trial: ${course.difference}; choose another folder, or set overwrite to replace it.`,
    );
  }
  if (overwrite) await rm(join(outputDir, 'result.json'), { force: true });
  if (course.course === 'fresh') await writeTrial(outputDir, trial);
  return course;
}

const shuffleSeed = (seed: number, { given }: Context): number => (given.has('seed') ? seed : 40);

/** What was given, checked by the trainer's own rules; TRL's names without effect are told of. */
function trainOptions({ given, extras, note }: Context, values: Given) {
  const own = Object.fromEntries(
    [...given].filter((name) => Object.hasOwn(TRAIN_OPTIONS, name)).map((name) => [name, values[name as keyof Given]]),
  );
  if (hasEvalRows(values) && values.compat !== 'trl' && !given.has('evalSteps') && !given.has('evalStrategy'))
    own.evalStrategy = 'epoch';
  return resolveTrainOptions({ ...own, ...extras }, note);
}

/** Rows of a data set, in the output folder, where a resumed run finds them again. */
async function prepared(
  dataset: string,
  { split, take, eval: evalRows, seed, outputDir, overwrite, offline }: Given,
  resume: boolean | string,
  context: Context,
): Promise<{ trainFile: string; evalFile: string | null }> {
  const data = join(outputDir, 'data');
  const files = { trainFile: join(data, 'train.jsonl'), evalFile: evalRows > 0 ? join(data, 'eval.jsonl') : null };
  const there = [files.trainFile, files.evalFile].every((file) => file === null || existsSync(file));
  if (resume !== false && there) return files;
  const source = await datasetFiles(dataset, split, context, offline);
  const options = {
    seed: shuffleSeed(seed, context),
    eval: evalRows,
    ...(take !== null && { take }),
    overwrite: overwrite || resume !== false,
  };
  const report = await naming(data, prepareFiles(source, data, options));
  for (const line of reportLines(report)) context.note(line);
  return files;
}

/** The result of a call: of this one, or of the one that it repeats. */
type Printed = FinetuneResult & { trial: string; already?: true };

function printed({ json }: Context, result: Printed): string {
  return json ? `${JSON.stringify(result)}\n` : forPeople(result);
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
  already,
}: Printed): string {
  if (status !== 'completed')
    return folder === null
      ? 'Interrupted before the first update: nothing was written.\n'
      : `Interrupted after update ${global_step}. The same command goes on from ${folder}\n`;
  const lines = before && after ? [metricsTable({ before, after }), ''] : [];
  return [
    ...(already ? ['This trial is finished: its result, as it was.', ''] : []),
    ...lines,
    `Trained ${global_step} updates, mean loss ${train_loss?.toFixed(4) ?? 'not finite'}.`,
    `Model:  ${output_dir}`,
    `Report: ${report}`,
    '',
  ].join('\n');
}
