import { resolve } from 'node:path';
import type { EncodedRow } from '@gemmatune/data';
import type { Model } from '@gemmatune/engine';
import type { RunOptions } from './by-rows.js';
import {
  checkpointFolder,
  listCheckpoints,
  prepareOutput,
  readCheckpoint,
  refuseOccupied,
  removeCheckpoint,
  rotateCheckpoints,
  saveCheckpoint,
  saveFinal,
} from './checkpoint.js';
import type { WarningCode } from './events.js';
import { emptyWindow } from './log.js';
import { byFirst, type Ranks, sameModel } from './ranks.js';
import { fingerprint, type Identity, identity, restoredState, resumeContent, type Sharing } from './resume.js';
import type { Schedule } from './schedule.js';
import { freshState, type RunState, totalFlos, trainerStateText } from './state.js';

export interface Opened {
  state: RunState;
  /** The checkpoint to load the model's state from; null for a fresh run. */
  folder: string | null;
  notes: { code: WarningCode; message: string }[];
}

/** What of a model its folder needs. */
type KeptModel = Pick<Model, 'parameters' | 'save' | 'saveState' | 'completeCopies' | 'checksum'>;

/**
 * The output folder of one run: refuses to write over others' work, finds what to resume, keeps checkpoints and the best model. Every rank makes
 * the same calls; rank 0 alone looks into the folder and writes, and the others hear what came of it.
 */
export class RunFolder {
  readonly #model: KeptModel;
  readonly #ranks: Ranks;
  readonly #sharing: Sharing;
  readonly #rows: readonly EncodedRow[];
  readonly #options: RunOptions;
  readonly #schedule: Schedule;
  readonly #companions: readonly string[];
  #identity: Identity | undefined;

  constructor(
    model: KeptModel,
    run: { rows: readonly EncodedRow[]; options: RunOptions; schedule: Schedule; companions: readonly string[] },
    ranks: Ranks,
    sharing: Sharing,
  ) {
    this.#model = model;
    this.#ranks = ranks;
    this.#sharing = sharing;
    this.#rows = run.rows;
    this.#options = run.options;
    this.#schedule = run.schedule;
    this.#companions = run.companions;
  }

  /** False where no outputDir was given: the run leaves nothing behind. */
  get enabled(): boolean {
    return this.#options.outputDir !== null;
  }

  /** What a checkpoint must share with this run. */
  async identity(): Promise<Identity> {
    this.#identity ??= identity(this.#options, this.#schedule, await fingerprint(this.#rows));
    return this.#identity;
  }

  /** @throws TrainError _ARGUMENT for a folder that holds other work, _FILE for one that cannot be written to, _RESUME */
  async open(): Promise<Opened> {
    if (!this.enabled) return { state: freshState(), folder: null, notes: [] };
    return byFirst(this.#ranks, 'the output folder', () => this.#open());
  }

  async #open(): Promise<Opened> {
    const { outputDir, resume } = this.#options as { outputDir: string; resume: boolean | string };
    await prepareOutput(outputDir);
    const notes: Opened['notes'] = [];
    const folder = resume === true ? await this.#newestComplete(notes) : resume || null;
    if (folder === null || resolve(folder, '..') !== resolve(outputDir)) await this.#claim(outputDir);
    if (folder === null) return { state: freshState(), folder, notes };
    return { state: await this.#restored(folder, notes), folder, notes };
  }

  async #newestComplete(notes: Opened['notes']): Promise<string | null> {
    const { outputDir } = this.#options;
    for (const { folder } of (await listCheckpoints(outputDir!)).reverse()) {
      const problem = await readCheckpoint(folder).then(
        () => null,
        (error: Error) => error.message,
      );
      if (problem === null) return folder;
      notes.push({ code: 'checkpoint-skipped', message: `${problem} An earlier one is looked for.` });
    }
    const message = `There is no complete checkpoint in ${outputDir}: training starts from the beginning.`;
    notes.push({ code: 'no-checkpoint', message });
    return null;
  }

  /** Makes sure that nothing in the folder is written over unasked. */
  async #claim(outputDir: string): Promise<void> {
    if (!this.#options.overwrite) return refuseOccupied(outputDir);
    // Else a later resume could take one of them for this run's.
    for (const checkpoint of await listCheckpoints(outputDir)) await removeCheckpoint(checkpoint);
  }

  async #restored(folder: string, notes: Opened['notes']): Promise<RunState> {
    const content = await readCheckpoint(folder);
    const { state, otherRanks } = restoredState(folder, content, await this.identity(), this.#sharing);
    if (otherRanks !== null) notes.push({ code: 'other-ranks', message: otherRanks });
    if (state.bestCheckpoint !== null && !(await this.#has(state.bestCheckpoint))) {
      notes.push({ code: 'best-missing', message: `Checkpoint ${state.bestCheckpoint}, the best so far, is gone.` });
      state.bestCheckpoint = null;
    }
    if (this.#options.compat === 'trl') {
      // transformers keeps none of these in a checkpoint: num_tokens and train_loss start over.
      Object.assign(state, { tokens: 0, seconds: 0, lossTotal: 0, lossUpdates: 0, window: emptyWindow() });
    }
    return state;
  }

  /** Writes checkpoint-<step> and removes those beyond saveTotalLimit. Notes in `state` where the best model lies. */
  async save(state: RunState): Promise<string> {
    await sameModel(this.#ranks, this.#model, `after update ${state.step}`);
    const saved = await byFirst(this.#ranks, `checkpoint ${state.step}`, () => this.#save(state));
    state.bestCheckpoint = saved.bestCheckpoint;
    return saved.folder;
  }

  async #save(state: RunState): Promise<{ folder: string; bestCheckpoint: number | null }> {
    const { outputDir, saveTotalLimit } = this.#options;
    const best = state.best?.step ?? null;
    if (best !== null && (best === state.step || (await this.#has(best)))) state.bestCheckpoint = best;
    const folder = await saveCheckpoint(this.#model, outputDir!, state.step, {
      trainerState: this.#trainerState(state, true),
      resume: resumeContent(await this.identity(), state, this.#sharing),
      companions: this.#companions,
    });
    await rotateCheckpoints(outputDir!, saveTotalLimit, state.bestCheckpoint);
    return { folder, bestCheckpoint: state.bestCheckpoint };
  }

  /** Writes the trained model and its trainer_state.json into the output folder itself. */
  async saveModel(state: RunState): Promise<string> {
    await sameModel(this.#ranks, this.#model, 'at the end');
    return byFirst(this.#ranks, 'the trained model', async () => {
      const { outputDir } = this.#options;
      await saveFinal(this.#model, outputDir!, this.#trainerState(state, false), this.#companions);
      return outputDir!;
    });
  }

  /** Where the best model lies, or null where no checkpoint holds it. */
  async bestFolder({ bestCheckpoint }: RunState): Promise<string | null> {
    if (bestCheckpoint === null) return null;
    return byFirst(this.#ranks, 'the best checkpoint', async () =>
      (await this.#has(bestCheckpoint)) ? checkpointFolder(this.#options.outputDir!, bestCheckpoint) : null,
    );
  }

  async newestFolder(): Promise<string | null> {
    if (!this.enabled) return null;
    return byFirst(
      this.#ranks,
      'the newest checkpoint',
      async () => (await listCheckpoints(this.#options.outputDir!)).at(-1)?.folder ?? null,
    );
  }

  async #has(step: number): Promise<boolean> {
    return (await listCheckpoints(this.#options.outputDir!)).some((checkpoint) => checkpoint.step === step);
  }

  #trainerState(state: RunState, saving: boolean): string {
    const { outputDir } = this.#options;
    return trainerStateText(state, this.#schedule, this.#options, {
      totalFlos: totalFlos(state, this.#model.parameters),
      bestFolder: state.bestCheckpoint === null ? null : checkpointFolder(outputDir!, state.bestCheckpoint),
      saving,
    });
  }
}
