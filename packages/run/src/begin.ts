/** The start of a run: its output folder, its base model, and whether it is done already. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, naming, version } from '@gemmatune/base';
import { type PrepareReport, prepareFiles } from '@gemmatune/data';
import { parseDevice } from '@gemmatune/engine';
import { resolveDataset, resolveModel } from '@gemmatune/hub';
import { byFirst, prepareOutput, type Ranks, refuseOccupied } from '@gemmatune/train';
import type { FinetuneEvent, FinetuneResult } from './events.js';
import { checkDevice } from './model.js';
import { hasEvalRows, type Settings } from './options.js';
import { machineByMachine } from './ranks.js';
import { relayed } from './relay.js';
import { type Course, courseOf, modelIdentity, sha256Of, type Trial, trialOf, writeTrial } from './trial.js';

/** What all stages of a run know. */
export interface Run {
  settings: Settings;
  ranks: Ranks;
  firstOfMachine: boolean;
  /** Aborted by the caller's signal, or where the caller leaves. */
  signal: AbortSignal;
  stop: AbortController;
  /** What people are told of the model and its rows. */
  names: { model: string; data: string };
}

export interface Begun {
  /** The base model's. */
  folder: string;
  trial: Trial;
  /** Of the same call, if it has been finished before. */
  finished: FinetuneResult | null;
  /** What the trainer is given: `resume` and `overwrite` as the state of the folder asks for. */
  training: Settings['training'];
}

/** @throws InputError, TrainError, EngineError, HubError: before any long work */
export async function* begin(run: Run): AsyncGenerator<FinetuneEvent, Begun, undefined> {
  const { settings, ranks, firstOfMachine } = run;
  const { training, model, offline } = settings;
  checkDevice(settings.device);
  const known = await byFirst(ranks, 'output folder', () => claimFolder(training));
  const folder = yield* downloaded(run, model, (options) =>
    machineByMachine(ranks, firstOfMachine, 'base model', (again) =>
      resolveModel(model, { ...options, ...((again || offline) && { offline: true }) }),
    ),
  );
  const { trial, course } = yield* downloaded(run, settings.dataset ?? '', (options) =>
    byFirst(ranks, 'trial', async () => {
      const identified = await identify(run, folder, options);
      return { trial: identified, course: known.trial ? await courseIn(training, identified) : FRESH };
    }),
  );
  if (course.course === 'finished') {
    const finished = { ...course.result, already: true } as unknown as FinetuneResult;
    return { folder, trial, finished, training };
  }
  // Of a run that ended before its first checkpoint there is nothing to go on from, but perhaps a model without its result.
  const begun = course.course === 'begun' ? { resume: training.resume || true, overwrite: true } : {};
  const own = { ...training, ...begun };
  yield { type: 'begin', trial: trial.trial, resume: own.resume !== false };
  await byFirst(ranks, 'the start of the trial', async () => {
    if (training.overwrite) await rm(join(training.outputDir, 'result.json'), { force: true });
    if (course.course === 'fresh') await writeTrial(training.outputDir, trial);
  });
  return { folder, trial, finished: null, training: own };
}

/** Whether the folder knows its trial; one that does not must be free to be written to. */
async function claimFolder({ outputDir, overwrite, resume }: Settings['training']): Promise<{ trial: boolean }> {
  const trial = !overwrite && existsSync(join(outputDir, 'trial.json'));
  if (!trial && !overwrite && resume === false) await refuseOccupied(outputDir);
  await prepareOutput(outputDir);
  return { trial };
}

type Downloads = { signal: AbortSignal; onProgress: (moved: { file: string; loaded: number; total?: number }) => void };

/** Runs `work`, and tells what it downloads. */
function downloaded<T>(
  { stop, signal }: Run,
  what: string,
  work: (options: Downloads) => Promise<T>,
): AsyncGenerator<FinetuneEvent, T, undefined> {
  return relayed<FinetuneEvent, T>(stop, (put) =>
    work({
      signal,
      onProgress: ({ file, loaded, total }) =>
        put({ type: 'download', what, file, loaded, ...(total !== undefined && { total }) }),
    }),
  );
}

const filesOf = ({ settings: { dataset, split, offline } }: Run, options: Downloads) =>
  resolveDataset(dataset!, { split, ...options, ...(offline && { offline }) });

/** What decides the result of this call. */
async function identify(run: Run, folder: string, downloads: Downloads): Promise<Trial> {
  const { settings, ranks } = run;
  const { train, evalFile, dataset, take, eval: evalRows, shuffleSeed: shuffle } = settings;
  const {
    outputDir: _place,
    overwrite: _how,
    resume: _from,
    loggingSteps: _told,
    loggingFirstStep: _first,
    saveTotalLimit: _kept,
    ...training
  } = settings.training;
  const rows =
    dataset === null
      ? { train: await sha256Of([train!]), evalFile: evalFile === null ? null : await sha256Of([evalFile]) }
      : { dataset: await sha256Of(await filesOf(run, downloads)), take, eval: evalRows, shuffle };
  const { format, evaluate, maxNewTokens, maxNewTokensAfter, dtype } = settings;
  const names = { train, evalFile, dataset, model: settings.model };
  return trialOf(names, {
    version: await version(),
    model: await modelIdentity(folder),
    ...rows,
    ...training,
    ranks: ranks.size,
    gradientWire: ranks.size === 1 ? null : settings.gradientWire,
    ...{ format, evaluate, maxNewTokens, maxNewTokensAfter: maxNewTokensAfter ?? maxNewTokens },
    device: parseDevice(settings.device)!.device,
    dtype,
  });
}

const FRESH: Course = { course: 'fresh' };

/**
 * How the run begins in a folder that has a trial.
 * @throws InputError where that is another one; with resume the trainer judges whether a checkpoint fits
 */
async function courseIn({ outputDir, resume }: Settings['training'], trial: Trial): Promise<Course> {
  const course = await courseOf(outputDir, trial);
  if (course.course !== 'other') return course;
  if (resume !== false) return FRESH;
  throw new InputError(
    `The output folder ${outputDir} holds another trial: ${course.differences.join('; ')}. Choose another folder, or set \`overwrite\` to replace it.`,
  );
}

export interface RowFiles {
  trainFile: string;
  evalFile: string | null;
}

/** The files that are given; or those of a data set, made in the output folder, where a resumed run finds them again. */
export async function* rowFiles(
  run: Run,
  { resume, overwrite, outputDir }: Settings['training'],
): AsyncGenerator<FinetuneEvent, RowFiles, undefined> {
  const { settings, ranks } = run;
  const { train, evalFile, dataset, take, eval: evalRows, shuffleSeed: seed } = settings;
  if (dataset === null) return { trainFile: train!, evalFile };
  const data = join(outputDir, 'data');
  const files = {
    trainFile: join(data, 'train.jsonl'),
    evalFile: hasEvalRows(settings) ? join(data, 'eval.jsonl') : null,
  };
  const report = yield* downloaded(run, dataset, (downloads) =>
    byFirst(ranks, 'prepared rows', async (): Promise<PrepareReport | null> => {
      const there = [files.trainFile, files.evalFile].every((file) => file === null || existsSync(file));
      if (resume !== false && there) return null;
      const options = {
        seed,
        eval: evalRows,
        ...(take !== null && { take }),
        overwrite: overwrite || resume !== false,
      };
      return naming(data, prepareFiles(await filesOf(run, downloads), data, options));
    }),
  );
  if (report !== null) yield { type: 'prepared', folder: data, report };
  return files;
}
