/** One fine-tuning run, as `finetune` and `quickstart` have it: rows → training, with evaluation before and after → folder and report. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GemmatuneError, writeWhole } from '@gemmatune/base';
import { type Group, type Model, type SharingOptions, systemInfo } from '@gemmatune/engine';
import type { TargetFormat } from '@gemmatune/template';
import {
  type LogRow,
  learningRateAt,
  type PassPlan,
  type Plan,
  prepareOutput,
  type RowSettings,
  type RunOptions,
  refuseOccupied,
  type TrainEvent,
  Trainer,
  type TrainOptions,
} from '@gemmatune/train';
import type { Context } from './command.js';
import { evaluateRows, flat } from './evaluation.js';
import { PREEMPTED } from './exit-status.js';
import { stoppedStatus } from './interrupts.js';
import { type DeviceOptions, loadModel, ModelText, readModelConfig } from './model-source.js';
import { type Question, readQuestions } from './questions.js';
import { ranksText } from './ranks/together.js';
import { reportPage, seriesOf } from './report/page.js';
import { encodedSummary, encodeFile } from './rows.js';
import { writeRunRecord } from './run-record.js';
import { duration, type Progress, withProgress } from './terminal/progress.js';
import { sparkline } from './terminal/sparkline.js';
import { sha256 } from './trial.js';

type Metrics = Record<string, number | null>;

export interface FinetuneRequest {
  /** The base model's folder, and how it was named. */
  folder: string;
  baseModel: string;
  dataset: string;
  trainFile: string;
  evalFile: string | null;
  format: TargetFormat;
  /** Rows of the evaluation file to generate calls for before and after training; 0 = none. */
  evaluate: number;
  maxNewTokens: number;
  maxNewTokensAfter: number;
  device: DeviceOptions;
  train: TrainOptions & { outputDir: string };
  /** The ranks that train together, of which this process is one; without it, it trains alone. */
  ranks?: { group: Group; sharing: SharingOptions };
  /** Hears every row of the log when it is made. On rank 0 alone. */
  onRow?: (row: LogRow) => Promise<void>;
}

export interface FinetuneResult {
  /** `interrupted` by Ctrl-C; `preempted` by another signal, and the same call is to go on elsewhere. */
  status: 'completed' | 'interrupted' | 'preempted' | 'diverged';
  output_dir: string;
  global_step: number;
  /** null where the run did not complete. */
  train_loss: number | null;
  train_rows: number;
  eval_rows: number;
  /** Options that were left out and followed from the number of rows, with their values. */
  by_rows: Partial<RowSettings>;
  before: Metrics | null;
  after: Metrics | null;
  /** Trained on, earlier parts of a resumed run included. */
  tokens: number;
  /** Of training, likewise where the run completed; else of this process. */
  seconds: number;
  /** Of the trained model.safetensors; null where the run did not complete. */
  weights_sha256: string | null;
  /** The folder to use next: the model, or the checkpoint to resume from; null where there is none yet. */
  folder: string | null;
  report: string | null;
}

/** Training that diverged, with what there is to tell of it besides. */
export class Diverged extends GemmatuneError<'ERR_GEMMATUNE_DIVERGED'> {
  readonly result: FinetuneResult;
  constructor(cause: Error, result: FinetuneResult) {
    super('ERR_GEMMATUNE_DIVERGED', cause.message, { cause });
    this.result = result;
  }
}

/**
 * On ranks other than 0 nothing is written, and the result has no report.
 * @throws InputError, TrainError, EngineError, HubError, Diverged
 */
export async function runFinetune(request: FinetuneRequest, context: Context): Promise<FinetuneResult> {
  const { folder, trainFile, evalFile, train, format, ranks } = request;
  const source = new ModelText(folder);
  const { config } = await readModelConfig(folder);

  const settings = { ...train, format };
  const rows = await encodeFile(trainFile, source, config.vocabSize, settings);
  for (const line of encodedSummary(trainFile, rows.report, train.maxLength)) context.note(line);
  const evalRows = evalFile === null ? undefined : await encodeFile(evalFile, source, config.vocabSize, settings);
  if (evalRows) for (const line of encodedSummary(evalFile!, evalRows.report, train.maxLength)) context.note(line);
  const questions =
    request.evaluate > 0 ? await readQuestions(evalFile!, source, format, context, request.evaluate) : [];

  const { outputDir, masterWeights } = train;
  await using model = await loadModel(folder, request.device, context, { trainable: true, masterWeights });
  const collectives = ranks && (await model.share(ranks.group, ranks.sharing)).collectives;
  const trainer = new Trainer(model, {
    ...{ trainRows: rows.rows, evalRows: evalRows?.rows ?? [], options: train },
    ...(ranks && {
      ranks: ranks.group,
      description: { ...ranks.sharing, collectives: collectives!, ...arithmeticOf(model) },
    }),
  });
  const together = ranks && ranksText(ranks.group, request.device.device, collectives!, trainer.options);
  if (together) context.note(`${together}.`);
  const decided = byRowsText(trainer, rows.rows.length);
  if (decided !== null) context.note(decided);
  trainer.planPasses(); // what does not fit the device is refused before the long work
  const counts = { train_rows: rows.rows.length, eval_rows: evalRows?.rows.length ?? 0 };

  const before = await measured(model, source, questions, 'Evaluating before', request.maxNewTokens, request, context);
  const watched = await withProgress(context.stderr, (progress) => watch(trainer, progress, request, context));
  const { end, passes } = watched;
  const unfinished = {
    output_dir: outputDir,
    global_step: end.step,
    train_loss: null,
    ...counts,
    by_rows: trainer.byRows,
    before,
    after: null,
    tokens: watched.tokens,
    seconds: watched.seconds,
    weights_sha256: null,
    folder: end.folder,
    report: null,
  };
  if (watched.failure !== null) throw new Diverged(watched.failure, { status: 'diverged', ...unfinished });
  if (end.reason === 'aborted') return { status: stoppedAs(context.signal), ...unfinished };
  const after = await measured(
    model,
    source,
    questions,
    'Evaluating after',
    request.maxNewTokensAfter,
    request,
    context,
  );
  const done = { status: 'completed' as const, train_loss: end.row?.train_loss ?? null, after, folder: outputDir };
  if (ranks && ranks.group.rank > 0) return { ...unfinished, ...done };

  const record = {
    base_model: request.baseModel,
    dataset: request.dataset,
    ...counts,
    settings: shownSettings({ ...trainer.options, format }),
    ...(before && after && { before, after, evaluation: evaluationText(request, questions.length) }),
  };
  await writeRunRecord(outputDir, record);
  const report = join(outputDir, 'report.html');
  const logHistory = await readLogHistory(outputDir);
  const facts = {
    'base model': request.baseModel,
    data: request.dataset,
    'rows trained on': counts.train_rows,
    'tokens in them': rows.report.tokens,
    'rows for evaluation': counts.eval_rows,
    updates: end.step,
    'training time': duration(end.row?.train_runtime ?? Number.NaN),
    'computed with': `${model.dtype} on ${model.device}`,
    ...(together && { 'computed by': together }),
    ...(passes && { 'computed in': planText(passes) }),
  };
  const metrics = { before: before ?? undefined, after: after ?? undefined };
  const title = `Fine-tuning ${request.baseModel}`;
  await writeWhole(report, (put) =>
    put(reportPage({ title, facts, logHistory, settings: record.settings, ...metrics })),
  );
  for (const line of sparklines(logHistory)) context.note(line);
  return {
    ...unfinished,
    ...done,
    tokens: logHistory.findLast(({ num_tokens }) => typeof num_tokens === 'number')?.num_tokens ?? watched.tokens,
    seconds: end.row?.train_runtime ?? watched.seconds,
    weights_sha256: await sha256(join(outputDir, 'model.safetensors')),
    report,
  };
}

/** A rank that was not asked itself stops because another one was. */
function stoppedAs(signal: AbortSignal): 'interrupted' | 'preempted' {
  return !signal.aborted || stoppedStatus(signal) === PREEMPTED ? 'preempted' : 'interrupted';
}

/** What decides how numbers are rounded: ranks that differ in it would drift apart. GEMMATUNE_CPU lowers the instruction set. */
function arithmeticOf({ dtype, device }: Model): Record<string, string> {
  return { dtype, device, ...(device === 'cpu' && { instructionSet: systemInfo().instructionSet }) };
}

/**
 * Makes the output folder, and refuses before any long work one that the trainer would refuse at its start.
 * @throws TrainError
 */
export async function claimOutput({ outputDir, overwrite, resume }: FinetuneRequest['train']): Promise<void> {
  if (!overwrite && resume === false) await refuseOccupied(outputDir);
  await prepareOutput(outputDir);
}

async function measured(
  model: Model,
  source: ModelText,
  rows: readonly Question[],
  title: string,
  maxNewTokens: number,
  { format, ranks }: FinetuneRequest,
  context: Context,
): Promise<Metrics | null> {
  if (rows.length === 0) return null;
  const how = { maxNewTokens, format, title };
  return flat(await evaluateRows(model, await source.tokenizer(), rows, how, context, ranks?.group));
}

interface Watched {
  end: TrainEvent & { type: 'end' };
  /** Why it diverged, where it did. */
  failure: Error | null;
  passes: PassPlan | undefined;
  tokens: number;
  seconds: number;
}

/** Runs the training and draws its progress. */
async function watch(
  trainer: Trainer,
  progress: Progress,
  { onRow }: FinetuneRequest,
  { signal }: Context,
): Promise<Watched> {
  const began = performance.now();
  let first = 0;
  let end: (TrainEvent & { type: 'end' }) | undefined;
  let passes: PassPlan | undefined;
  let tokens = 0;
  const hear = async (event: TrainEvent) => {
    if (event.type === 'log' || event.type === 'evaluate') await onRow?.(event.row);
    if (event.type === 'start') {
      first = event.step / event.maxSteps;
      if (event.resumedFrom !== null) progress.line(`Continuing from ${event.resumedFrom}, update ${event.step}.`);
      progress.line(`${event.trainRows} rows, ${event.updatesPerEpoch} updates an epoch, ${event.maxSteps} in all.`);
    } else if (event.type === 'plan') {
      passes = event;
      progress.line(`Plan: ${planText(event)}.`);
    } else if (event.type === 'progress') {
      tokens = event.tokens;
      const share = (event.step - 1 + event.microStep / event.microSteps) / event.maxSteps;
      const seconds = (performance.now() - began) / 1000;
      const left = (seconds / (share - first)) * (1 - share);
      const rate = learningRateAt(event.step, trainer.plan, trainer.options).toExponential(2);
      progress.update(
        'Training',
        share,
        `${event.step}/${event.maxSteps}  loss ${event.loss.toFixed(4)}  lr ${rate}  ${Math.round(event.tokensPerSecond)} tokens/s  ${duration(left)} left`,
      );
    } else if (event.type === 'evaluating')
      progress.update('Evaluation loss', event.batch / event.batches, `after update ${event.step}`);
    else if (event.type === 'log') progress.line(logLine(event.row));
    else if (event.type === 'evaluate') progress.line(`${logLine(event.row)}${event.best ? '  best so far' : ''}`);
    else if (event.type === 'warning') progress.line(`Warning: ${event.message}`);
    else if (event.type === 'end') end = event;
  };
  let failure: Error | null = null;
  try {
    for await (const event of trainer.train({ signal })) await hear(event);
  } catch (error) {
    if (end?.reason !== 'diverged') throw error;
    failure = error as Error;
  }
  return { end: end!, failure, passes, tokens, seconds: (performance.now() - began) / 1000 };
}

const RECOMPUTED = {
  none: 'nothing recomputed',
  elementwise: 'norms, rope and GeGLU recomputed',
  blocks: 'whole blocks recomputed',
} as const;

/** `1 pass of up to 8,192 tokens an update, 9.1 of 14.7 GB; nothing recomputed` */
export function planText({ passes, tokens, bytes, available, recompute }: PassPlan): string {
  const gigabytes = (n: number) => (n / 1e9).toFixed(1);
  const memory = bytes === null || available === null ? '' : `, ${gigabytes(bytes)} of ${gigabytes(available)} GB`;
  const how = recompute === null ? '' : `; ${RECOMPUTED[recompute]}`;
  const count = passes === 1 ? '1 pass' : `up to ${passes} passes`;
  return `${count} of up to ${tokens.toLocaleString('en')} tokens an update${memory}${how}`;
}

/** `300 rows: learning rate 0.0001, 3 epochs, 8 rows an update; why: docs/settings.md`, of what was left out; null where nothing was. */
export function byRowsText(
  trainer: {
    byRows: Trainer['byRows'];
    options: Pick<RunOptions, 'packing'>;
    plan: Pick<Plan, 'itemsPerBatch' | 'batchesPerUpdate'>;
  },
  rows: number,
): string | null {
  const { learningRate, numTrainEpochs, perDeviceTrainBatchSize: batch, lrSchedulerType, warmupRatio } = trainer.byRows;
  const items = trainer.options.packing ? 'packs' : 'rows';
  const ofUpdate = trainer.plan.itemsPerBatch * trainer.plan.batchesPerUpdate;
  const parts: string[] = [];
  if (learningRate !== undefined) parts.push(`learning rate ${learningRate}`);
  if (numTrainEpochs !== undefined) parts.push(`${numTrainEpochs} ${numTrainEpochs === 1 ? 'epoch' : 'epochs'}`);
  if (batch !== undefined && batch !== ofUpdate) parts.push(`${batch} ${items} a micro-batch`);
  if (batch !== undefined) parts.push(`${ofUpdate} ${items} an update`);
  if (lrSchedulerType !== undefined) parts.push(`${lrSchedulerType} schedule`);
  if (warmupRatio !== undefined)
    parts.push(`warm-up in ${Number((100 * warmupRatio).toPrecision(3))} % of the updates`);
  return parts.length === 0 ? null : `${rows} rows: ${parts.join(', ')}; why: docs/settings.md`;
}

/** A row of log_history in one line. */
function logLine(row: LogRow): string {
  const value = (key: string, digits = 4) =>
    row[key] === undefined
      ? []
      : [`${key} ${row[key] === null ? 'not finite' : Number(row[key]!.toPrecision(digits))}`];
  const shown = ['loss', 'eval_loss', 'grad_norm', 'learning_rate', 'mean_token_accuracy', 'eval_mean_token_accuracy'];
  return [`step ${row.step}`, `epoch ${Number(row.epoch?.toFixed(3))}`, ...shown.flatMap((key) => value(key))].join(
    '  ',
  );
}

async function readLogHistory(folder: string): Promise<LogRow[]> {
  const text = await readFile(join(folder, 'trainer_state.json'), 'utf8');
  return (JSON.parse(text) as { log_history: LogRow[] }).log_history;
}

/** Loss and accuracy as text. */
function sparklines(logHistory: readonly LogRow[]): string[] {
  return ['loss', 'eval_loss', 'mean_token_accuracy', 'learning_rate'].flatMap((key) => {
    const values = seriesOf(logHistory, key).points.map(([, y]) => y);
    if (values.length < 2) return [];
    const [first, last] = [values[0]!, values.at(-1)!].map((value) => String(Number(value.toPrecision(3))));
    return [`${key.padEnd(20)} ${sparkline(values)} ${first} → ${last}`];
  });
}

/** The settings that were in force, without those that name places or say nothing. */
function shownSettings(
  settings: RunOptions & { format: TargetFormat },
): Record<string, string | number | boolean | null> {
  const { outputDir: _place, overwrite: _overwrite, resume: _resume, ...rest } = settings;
  return Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
}

function evaluationText({ maxNewTokens, maxNewTokensAfter, format }: FinetuneRequest, rows: number): string {
  const tokens =
    maxNewTokens === maxNewTokensAfter ? `${maxNewTokens}` : `${maxNewTokens} (after: ${maxNewTokensAfter})`;
  return `${rows} rows that were not trained on, greedy, at most ${tokens} new tokens, ${format} format`;
}
