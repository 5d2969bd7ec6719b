import type { EncodeReport, PrepareReport } from '@gemmatune/data';
import type { Evaluation } from '@gemmatune/eval';
import type { LogRow, RowSettings, TrainEvent } from '@gemmatune/train';
import type { FlatScores } from './evaluate.js';

/** What `for await (const event of finetune(options))` hears: the run's own events, and the trainer's while it trains. */
export type FinetuneEvent =
  | { type: 'note'; message: string } // one sentence about an option that decides nothing here
  | BeginEvent
  | { type: 'download'; what: string; file: string; loaded: number; total?: number } // bytes
  | { type: 'prepared'; folder: string; report: PrepareReport }
  | { type: 'encoded'; path: string; report: EncodeReport; maxLength: number }
  | { type: 'not-asked'; path: string; lines: number[] } // conversations that do not end in exactly one call
  | { type: 'model'; device: string; dtype: string; description: string }
  | { type: 'ranks'; description: string }
  | ByRowsEvent
  | { type: 'generating'; when: When; done: number; total: number } // calls of this rank
  | { type: 'evaluation'; when: When; evaluation: Evaluation }
  | TrainEvent
  | { type: 'report'; path: string; logHistory: LogRow[] }
  | { type: 'result'; result: FinetuneResult };

export type When = 'before' | 'after';

/** The output folder is this run's. */
export interface BeginEvent {
  type: 'begin';
  /** Hash of all that decides the result. */
  trial: string;
  /** It goes on with what the folder holds, if there is a checkpoint. */
  resume: boolean;
}

/** What was left out, and followed from the number of rows. */
export interface ByRowsEvent {
  type: 'by-rows';
  rows: number;
  decided: Readonly<Partial<RowSettings>>;
  /** Of an update, on all ranks; packs where `packed`. */
  itemsPerUpdate: number;
  packed: boolean;
}

/** Always the last event of a run that trained. Names are those of result.json. */
export interface FinetuneResult {
  /** `aborted`: by the signal, of this rank or another. After `diverged` the generator throws as well. */
  status: 'completed' | 'aborted' | 'diverged';
  trial: string;
  output_dir: string;
  global_step: number;
  /** null where the run did not complete. */
  train_loss: number | null;
  train_rows: number;
  eval_rows: number;
  /** Options that were left out and followed from the number of rows, with their values. */
  by_rows: Partial<RowSettings>;
  before: FlatScores | null;
  after: FlatScores | null;
  /** Trained on, earlier parts of a resumed run included. */
  tokens: number;
  /** Of training, likewise where the run completed; else of this process. */
  seconds: number;
  /** Of the trained model.safetensors; null where the run did not complete. */
  weights_sha256: string | null;
  /** The folder to use next: the model, or the checkpoint to resume from; null where there is none yet. */
  folder: string | null;
  /** On rank 0 of a run that completed. */
  report: string | null;
  /** The trial was finished before: this is its result. */
  already?: true;
}
