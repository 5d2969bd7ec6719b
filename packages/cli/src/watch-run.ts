/** The events of a run to the screen, to the log file and to stdout. */
import { counted } from '@gemmatune/base';
import type { DeviceOptions, FinetuneEvent, FinetuneResult } from '@gemmatune/run';
import type { Context, Screen } from './command.js';
import { metricsTable } from './evaluation-table.js';
import { DIVERGED, DONE, INTERRUPTED, PREEMPTED } from './exit-status.js';
import { stoppedStatus } from './interrupts.js';
import { LogFile } from './log-file.js';
import { modelLines } from './open-model.js';
import { refuseExisting } from './output.js';
import { FinetuneScreen } from './terminal/finetune-screen.js';
import { withProgress } from './terminal/progress.js';

export interface Watching {
  /** As the call has it. */
  dtype: DeviceOptions['dtype'];
  /** Where every row of the log goes when it is made. */
  logFile?: string | null;
  /** The log file may be replaced. */
  overwrite?: boolean;
  /** What is printed at the end where it is not JSON. */
  forPeople?: (result: FinetuneResult, screen: Screen) => string;
}

/** @returns the exit status */
export async function watchRun(
  events: AsyncIterable<FinetuneEvent>,
  context: Context,
  { dtype, logFile = null, overwrite = false, forPeople = resultText }: Watching,
): Promise<number> {
  let log: LogFile | null = null;
  let result: FinetuneResult | undefined;
  const print = async () => {
    const { status, ...rest } = result!;
    const told = { status: status === 'aborted' ? STOPPED[stopped(context.signal)] : status, ...rest };
    await context.print(context.json ? `${JSON.stringify(told)}\n` : forPeople(result!, context.stdout));
  };
  try {
    await withProgress(context.stderr, async (progress) => {
      const screen = new FinetuneScreen(progress);
      for await (const event of events) {
        if (event.type === 'begin' && logFile !== null) {
          refuseExisting('--log-file', logFile, overwrite || event.resume);
          log = await LogFile.open(logFile, event.resume);
        }
        if (event.type === 'log' || event.type === 'evaluate') await log?.put(event.row);
        if (event.type === 'result') result = event.result;
        if (event.type !== 'model') screen.show(event);
        else for (const line of modelLines(event.description, dtype, context)) progress.line(line);
      }
    });
  } catch (error) {
    if (result?.status === 'diverged' && context.json) await print();
    throw error;
  } finally {
    await (log as LogFile | null)?.[Symbol.asyncDispose]();
  }
  await print();
  return result!.status === 'aborted' ? stopped(context.signal) : STATUSES[result!.status];
}

const STATUSES = { completed: DONE, diverged: DIVERGED } as const;
const STOPPED = { [INTERRUPTED]: 'interrupted', [PREEMPTED]: 'preempted' } as const;

/** A rank that was not asked itself stops because another one was. */
const stopped = (signal: AbortSignal): typeof INTERRUPTED | typeof PREEMPTED =>
  !signal.aborted || stoppedStatus(signal) === PREEMPTED ? PREEMPTED : INTERRUPTED;

/** A result in lines: the metrics, and where the model is or how to go on. */
export function resultText(
  { status, output_dir, global_step, train_loss, before, after, folder, report, already }: FinetuneResult,
  screen: Screen,
): string {
  if (status !== 'completed')
    return folder === null
      ? 'Interrupted before the first update: nothing was written.\n'
      : `Interrupted after update ${global_step}. The same command goes on from ${folder}\n`;
  const lines = before && after ? [metricsTable({ before, after }, screen), ''] : [];
  return [
    ...(already ? ['This trial is finished: its result, as it was.', ''] : []),
    ...lines,
    `Trained ${counted(global_step, 'update')}, mean loss ${train_loss?.toFixed(4) ?? 'not finite'}.`,
    `Model:  ${output_dir}`,
    `Report: ${report}`,
    '',
  ].join('\n');
}
