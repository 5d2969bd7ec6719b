/** One fine-tuning run: rows → training, with evaluation before and after → folder and report. */
import { join } from 'node:path';
import type { Encoded } from '@gemmatune/data';
import { type Group, Model } from '@gemmatune/engine';
import type { Question } from '@gemmatune/eval';
import { ALONE, type PassPlan, type TrainEvent, Trainer } from '@gemmatune/train';
import { type Begun, begin, type RowFiles, type Run, rowFiles } from './begin.js';
import { evaluateOnRanks, type FlatScores, flat } from './evaluate.js';
import { planText } from './event-lines.js';
import type { FinetuneEvent, When } from './events.js';
import { describeModel, ModelText, readModelConfig } from './model.js';
import { type FinetuneOptions, resolveFinetuneOptions } from './options.js';
import { readQuestions } from './questions.js';
import { arithmeticOf, type RunRanks, ranksText } from './ranks.js';
import { publicName } from './record.js';
import { relayed } from './relay.js';
import { writeReport } from './report/write.js';
import { encodeFile } from './rows.js';
import { sha256, writeResult, writeTrial } from './trial.js';

export interface FinetuneContext {
  /** Aborted: the run stops after the running pass, with a checkpoint if it trains. */
  signal?: AbortSignal;
  /** The ranks that train together, of which this process is one. On ranks other than 0 nothing is written. */
  ranks?: RunRanks;
  /** What report and model card call the model and its rows. Unset: as they are given, paths by their last name. */
  names?: { model?: string; data?: string };
}

/**
 * A whole run: prepare → evaluate → train → evaluate → save → report.
 *
 *     for await (const event of finetune({ model, train: 'train.jsonl', evalFile: 'eval.jsonl', evaluate: 50, outputDir: 'out' })) ...
 *
 * The consumer sets the pace, and leaving the loop ends the run. The last event is `result`. The same call again gives the result if there is one, else
 * goes on from the newest checkpoint.
 * @throws InputError, TrainError, EngineError, HubError; the signal's reason where it is aborted before training
 */
export async function* finetune(
  options: FinetuneOptions,
  { signal, ranks, names }: FinetuneContext = {},
): AsyncGenerator<FinetuneEvent, void, undefined> {
  const notes: string[] = [];
  const settings = resolveFinetuneOptions(options, (note) => notes.push(note));
  for (const message of notes) yield { type: 'note', message };
  const stop = new AbortController();
  const run: Run = {
    settings,
    ranks: ranks?.group ?? ALONE,
    firstOfMachine: ranks?.firstOfMachine ?? true,
    signal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
    stop,
    names: {
      model: names?.model ?? publicName(settings.model),
      data: names?.data ?? publicName(settings.dataset ?? settings.train!),
    },
  };
  const begun = yield* begin(run);
  if (begun.finished !== null) return yield { type: 'result', result: begun.finished };
  const files = yield* rowFiles(run, begun.training);
  yield* train(run, begun, files, ranks?.group ?? null);
}

/** The rows of a run as the model sees them. */
interface Rows {
  source: ModelText;
  train: Encoded;
  evaluation: Encoded | null;
  questions: Question[];
}

async function* readRows(
  { settings }: Run,
  { folder, training }: Begun,
  { trainFile, evalFile }: RowFiles,
): AsyncGenerator<FinetuneEvent, Rows, undefined> {
  const source = new ModelText(folder);
  const { config } = await readModelConfig(folder);
  const { format, evaluate } = settings;
  const how = { ...training, format };
  const { maxLength } = training;
  const train = await encodeFile(trainFile, source, config.vocabSize, how);
  yield { type: 'encoded', path: trainFile, report: train.report, maxLength };
  if (evalFile === null) return { source, train, evaluation: null, questions: [] };
  const evaluation = await encodeFile(evalFile, source, config.vocabSize, how);
  yield { type: 'encoded', path: evalFile, report: evaluation.report, maxLength };
  if (evaluate === 0) return { source, train, evaluation, questions: [] };
  const { questions, leftOut } = await readQuestions(evalFile, source, format, evaluate);
  if (leftOut.length > 0) yield { type: 'not-asked', path: evalFile, lines: leftOut };
  return { source, train, evaluation, questions };
}

async function* train(
  run: Run,
  begun: Begun,
  files: RowFiles,
  group: Group | null,
): AsyncGenerator<FinetuneEvent, void, undefined> {
  const { settings, ranks, signal } = run;
  const { training, trial } = begun;
  const { outputDir, masterWeights } = training;
  const rows = yield* readRows(run, begun, files);
  const { device, dtype, threads, collectives, gradientWire: wire, sharded } = settings;

  await using model = await Model.load(begun.folder, { device, dtype, threads, trainable: true, masterWeights });
  const description = describeModel(model, settings, { trainable: true, masterWeights });
  yield { type: 'model', device: model.device, dtype: model.dtype, description };
  const sharing = { collectives, wire, sharded };
  const shared = group && { ...sharing, collectives: (await model.share(group, sharing)).collectives };
  const trainer = new Trainer(model, {
    ...{ trainRows: rows.train.rows, evalRows: rows.evaluation?.rows ?? [], options: training },
    ...(shared && { ranks, description: { ...shared, ...arithmeticOf(model) } }),
  });
  const together = shared && ranksText(ranks, device, shared.collectives, trainer.options);
  if (together) yield { type: 'ranks', description: together };
  yield {
    type: 'by-rows',
    rows: rows.train.rows.length,
    decided: trainer.byRows,
    itemsPerUpdate: trainer.schedule.itemsPerBatch * trainer.schedule.batchesPerUpdate,
    packed: trainer.options.packing,
  };
  trainer.planPasses(); // what does not fit the device is refused before the long work

  const before = yield* asked(run, model, rows, 'before');
  const trained = yield* watched(trainer, signal);
  const { end } = trained;
  const counts = { train_rows: rows.train.rows.length, eval_rows: rows.evaluation?.rows.length ?? 0 };
  const unfinished = {
    ...{ trial: trial.trial, output_dir: outputDir, global_step: end.step, train_loss: null, ...counts },
    ...{ by_rows: trainer.byRows, before, after: null, tokens: trained.tokens, seconds: trained.seconds },
    ...{ weights_sha256: null, folder: end.folder, report: null },
  };
  if (trained.failure !== null) {
    yield { type: 'result', result: { status: 'diverged', ...unfinished } };
    throw trained.failure;
  }
  if (end.reason === 'aborted') return yield { type: 'result', result: { status: 'aborted', ...unfinished } };
  const after = yield* asked(run, model, rows, 'after');
  const completed = {
    ...{ status: 'completed' as const, ...unfinished },
    ...{ train_loss: end.row?.train_loss ?? null, after, folder: outputDir },
  };
  if (ranks.rank > 0) return yield { type: 'result', result: completed };

  const computed = {
    'computed with': `${model.dtype} on ${model.device}`,
    ...(together && { 'computed by': together }),
    ...(trained.passes && { 'computed in': planText(trained.passes) }),
  };
  const { report, logHistory } = await writeReport({
    ...{ settings, names: run.names, result: completed, options: trainer.options },
    ...{
      tokens: rows.train.report.tokens,
      questions: rows.questions.length,
      seconds: end.row?.train_runtime,
      computed,
    },
  });
  yield { type: 'report', path: report, logHistory };
  const result = {
    ...completed,
    tokens: logHistory.findLast(({ num_tokens }) => typeof num_tokens === 'number')?.num_tokens ?? trained.tokens,
    seconds: end.row?.train_runtime ?? trained.seconds,
    weights_sha256: await sha256(join(outputDir, 'model.safetensors')),
    report,
  };
  await writeTrial(outputDir, { ...trial, by_rows: result.by_rows });
  await writeResult(outputDir, result);
  yield { type: 'result', result };
}

/** Calls of the model for the run's questions, scored. */
async function* asked(
  { settings, signal, stop, ranks }: Run,
  model: Model,
  { source, questions }: Rows,
  when: When,
): AsyncGenerator<FinetuneEvent, FlatScores | null, undefined> {
  if (questions.length === 0) return null;
  const { maxNewTokens, maxNewTokensAfter } = settings;
  const tokenizer = await source.tokenizer();
  const evaluation = yield* relayed<FinetuneEvent, Awaited<ReturnType<typeof evaluateOnRanks>>>(stop, (put) => {
    const onProgress = (done: number, total: number) => put({ type: 'generating', when, done, total });
    const options = { maxNewTokens: (when === 'after' && maxNewTokensAfter) || maxNewTokens, signal, onProgress };
    return evaluateOnRanks(model, tokenizer, questions, options, `the evaluation ${when}`, ranks);
  });
  yield { type: 'evaluation', when, evaluation };
  return flat(evaluation);
}

interface Trained {
  end: TrainEvent & { type: 'end' };
  /** Why it diverged, where it did. */
  failure: Error | null;
  passes: PassPlan | undefined;
  tokens: number;
  seconds: number;
}

/** Runs the training, tells what happens, and keeps what the result needs of it. */
async function* watched(trainer: Trainer, signal: AbortSignal): AsyncGenerator<FinetuneEvent, Trained, undefined> {
  const began = performance.now();
  let end: Trained['end'] | undefined;
  let failure: Error | null = null;
  let passes: PassPlan | undefined;
  let tokens = 0;
  try {
    for await (const event of trainer.train({ signal })) {
      if (event.type === 'plan') passes = event;
      else if (event.type === 'progress') tokens = event.tokens;
      else if (event.type === 'end') end = event;
      yield event;
    }
  } catch (error) {
    if (end?.reason !== 'diverged') throw error;
    failure = error as Error;
  }
  return { end: end!, failure, passes, tokens, seconds: (performance.now() - began) / 1000 };
}
