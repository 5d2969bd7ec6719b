import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { counted, writeWhole } from '@gemmatune/base';
import type { LogRow, RunOptions } from '@gemmatune/train';
import type { FinetuneResult } from '../events.js';
import type { Settings } from '../options.js';
import { writeRunRecord } from '../record.js';
import { duration } from './numbers.js';
import { reportPage } from './page.js';

/** What is told of a run that completed. */
export interface Told {
  settings: Settings;
  names: { model: string; data: string };
  result: FinetuneResult;
  /** Of training, as they were in force. */
  options: RunOptions;
  /** Of the rows that were trained on. */
  tokens: number;
  /** Rows that calls were generated for. */
  questions: number;
  /** Of training. */
  seconds: number | null | undefined;
  /** The device, the ranks and the passes. */
  computed: Record<string, string>;
}

/** Writes the record that a model card is made of, and report.html. @returns its path, and the rows of the log */
export async function writeReport(told: Told): Promise<{ report: string; logHistory: LogRow[] }> {
  const { names, result, settings, questions } = told;
  const { output_dir: outputDir, before, after, train_rows, eval_rows } = result;
  const shown = shownSettings(told.options, settings.format);
  await writeRunRecord(outputDir, {
    ...{ base_model: names.model, dataset: names.data, train_rows, eval_rows, settings: shown },
    ...(before && after && { before, after, evaluation: evaluationText(settings, questions) }),
  });
  const logHistory = await readLogHistory(outputDir);
  const facts = {
    'base model': names.model,
    data: names.data,
    'rows trained on': train_rows,
    'tokens in them': told.tokens,
    'rows for evaluation': eval_rows,
    updates: result.global_step,
    'training time': duration(told.seconds ?? Number.NaN),
    ...told.computed,
  };
  const page = reportPage({
    ...{ title: `Fine-tuning ${names.model}`, facts, logHistory, settings: shown },
    ...{ before: before ?? undefined, after: after ?? undefined },
  });
  const report = join(outputDir, 'report.html');
  await writeWhole(report, (put) => put(page));
  return { report, logHistory };
}

async function readLogHistory(folder: string): Promise<LogRow[]> {
  const text = await readFile(join(folder, 'trainer_state.json'), 'utf8');
  return (JSON.parse(text) as { log_history: LogRow[] }).log_history;
}

/** The settings that were in force, without those that name places or say nothing. */
function shownSettings(
  options: RunOptions,
  format: Settings['format'],
): Record<string, string | number | boolean | null> {
  const { outputDir: _place, overwrite: _overwrite, resume: _resume, ...rest } = options;
  return Object.fromEntries(Object.entries({ ...rest, format }).filter(([, value]) => value !== null));
}

function evaluationText({ maxNewTokens, maxNewTokensAfter, format }: Settings, rows: number): string {
  const after = maxNewTokensAfter ?? maxNewTokens;
  const tokens = maxNewTokens === after ? `${after}` : `${maxNewTokens} (after: ${after})`;
  return `${counted(rows, 'row')} not trained on, greedy, at most ${tokens} new tokens, ${format} format`;
}
