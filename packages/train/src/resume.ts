import { createHash } from 'node:crypto';
import { shown } from '@gemmatune/base';
import type { EncodedRow } from '@gemmatune/data';
import type { RunOptions } from './by-rows.js';
import type { TrainOptionName } from './config.js';
import { TrainError } from './errors.js';
import type { LogRow } from './log.js';
import type { Description } from './ranks.js';
import { freshState, type RunState } from './state.js';

const VERSION = 1;

/** Options that change which numbers come out. A checkpoint continues only under the same ones. */
const SETTINGS = [
  'perDeviceTrainBatchSize',
  'learningRate',
  'lrSchedulerType',
  'weightDecay',
  'maxGradNorm',
  'adamBeta1',
  'adamBeta2',
  'adamEpsilon',
  'packing',
  'compat',
  'masterWeights',
] as const satisfies readonly TrainOptionName[];

/** What a run is made of: two runs with equal identity take the same course. */
export interface Identity {
  settings: Record<string, string | number | boolean | null>;
  data: { rows: number; sha256: string };
}

export function identity(
  options: RunOptions,
  schedule: { maxSteps: number; warmupSteps: number; batchesPerUpdate: number },
  data: Identity['data'],
): Identity {
  const settings: Identity['settings'] = {
    maxSteps: schedule.maxSteps,
    warmupSteps: schedule.warmupSteps,
    dataSeed: options.dataSeed ?? options.seed,
    gradientAccumulationSteps: schedule.batchesPerUpdate, // of all ranks: their number alone makes no other run
  };
  for (const name of SETTINGS) settings[name] = options[name];
  if (options.packing) settings.maxLength = options.maxLength;
  if (!options.masterWeights) settings.seed = options.seed; // it decides how updates are rounded
  return { settings, data };
}

/** sha256 over every row's ids and labels. Lets other work run every few thousand rows. */
export async function fingerprint(rows: readonly EncodedRow[]): Promise<Identity['data']> {
  const hash = createHash('sha256');
  for (const [i, { inputIds, labels }] of rows.entries()) {
    hash.update(Int32Array.of(inputIds.length)).update(inputIds).update(labels);
    if (i % 4096 === 4095) await new Promise(setImmediate);
  }
  return { rows: rows.length, sha256: hash.digest('hex') };
}

/** How many ranks trained, and how they shared the model. */
export type Sharing = Description & { ranks: number };

/** The content of resume.json (log_history stays in trainer_state.json). */
export function resumeContent(
  run: Identity,
  { logHistory, ...state }: RunState,
  sharing: Sharing,
): Record<string, unknown> {
  return { version: VERSION, ...run, ...(sharing.ranks > 1 && { sharing }), state };
}

/**
 * The state to continue from, once the checkpoint is known to belong to this run, and what makes sums come out in other bits.
 * @throws TrainError ERR_GEMMATUNE_RESUME naming the first thing that differs, as it was and as it is now.
 */
export function restoredState(
  folder: string,
  { resume, trainerState }: { resume: Record<string, unknown>; trainerState: Record<string, unknown> },
  now: Identity,
  sharing: Sharing,
): { state: RunState; otherRanks: string | null } {
  const refuse = (what: string) =>
    new TrainError('ERR_GEMMATUNE_RESUME', `Checkpoint ${folder} cannot be continued: ${what}.`);
  if (resume.version !== VERSION)
    throw refuse(`its resume.json has version ${shown(resume.version)}; expected ${VERSION}`);

  const then = resume as unknown as Identity & { state: Omit<RunState, 'logHistory'>; sharing?: Sharing };
  const before: Sharing = then.sharing ?? { ranks: 1 };
  if (now.settings.compat === 'trl' && before.ranks !== sharing.ranks) {
    throw refuse(
      `it was trained by ${before.ranks} ranks, and now there are ${sharing.ranks}; with compat 'trl' rows are dealt by that number`,
    );
  }
  if (then.data.rows !== now.data.rows)
    throw refuse(`it was trained on ${then.data.rows} rows, and now there are ${now.data.rows}`);
  if (then.data.sha256 !== now.data.sha256)
    throw refuse(`its ${now.data.rows} training rows had other tokens or labels than these`);
  for (const [name, value] of Object.entries(now.settings)) {
    const was = then.settings[name];
    if (was !== value) throw refuse(`${name} was ${shown(was)}, and now it is ${shown(value)}`);
  }
  const state = { ...freshState(), ...then.state, logHistory: trainerState.log_history as LogRow[] };
  const other = Object.keys(sharing).find((name) => before[name] !== sharing[name]);
  const otherRanks =
    other === undefined
      ? null
      : `The checkpoint was trained with ${other} ${shown(before[other])}, and now with ${shown(sharing[other])}: sums are rounded otherwise.`;
  return { state, otherRanks };
}
