/** What a run does where several ranks share it, beside what the trainer does. */
import { type Group, type Model, parseDevice, systemInfo } from '@gemmatune/engine';
import { type Ranks, together } from '@gemmatune/train';
import type { Settings } from './options.js';

/** The ranks of one run, of which this process is one. */
export interface RunRanks {
  group: Group;
  /** Of the ranks of its machine this one downloads what the others then find. */
  firstOfMachine: boolean;
}

/** Runs `work` on the first rank of each machine, and when these are done on the others, which find what it left there. */
export async function machineByMachine<T>(
  ranks: Ranks,
  firstOfMachine: boolean,
  what: string,
  work: (again: boolean) => Promise<T>,
): Promise<T> {
  let result: T | undefined;
  await together(ranks, what, async () => {
    if (firstOfMachine) result = await work(false);
    return null;
  });
  return firstOfMachine ? result! : work(true);
}

/** `2 ranks on emulated, gloo 0.5.0, 32 rows an update (2 devices x 2 rows x 8)` */
export function ranksText(
  { size }: Pick<Ranks, 'size'>,
  device: Settings['device'],
  collectives: string,
  {
    perDeviceTrainBatchSize: rows,
    gradientAccumulationSteps: steps,
  }: { perDeviceTrainBatchSize: number; gradientAccumulationSteps: number },
): string {
  return `${size} ranks on ${parseDevice(device)!.device}, ${collectives}, ${size * rows * steps} rows an update (${size} devices x ${rows} rows x ${steps})`;
}

/** What decides how numbers are rounded: ranks that differ in it would drift apart. GEMMATUNE_CPU lowers the instruction set. */
export function arithmeticOf({ dtype, device }: Model): Record<string, string> {
  return { dtype, device, ...(device === 'cpu' && { instructionSet: systemInfo().instructionSet }) };
}
