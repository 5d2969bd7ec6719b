/** Typed readers for the golden files beside this module; README.md explains every field. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export type ModelName = 'tiny' | 'gqa';
type ErrorMode = 'float32' | 'bf16' | 'amp';
export type TrlRunName =
  | 'tutorial'
  | 'nll'
  | 'completion'
  | 'linear-decay'
  | 'constant'
  | 'constant-warmup'
  | 'text'
  | 'prompt-completion';
export type TrlRanksRunName = 'two-ranks' | 'two-ranks-labels';

/** Arrays by name: `data` row-major, float64 only where the file holds float64 (`truth.*`). */
export type Arrays<Data> = Map<string, { shape: number[]; data: Data }>;

export interface Sequence {
  ids: number[];
  /** -100: not supervised. The label at position 0 is never a target. */
  labels: number[];
}

/** Largest absolute error, and L2 norm of the error / L2 norm of the truth. */
interface RoundingError {
  maxAbs: number;
  relativeL2: number;
}

export interface Forward {
  sequences: (Sequence & { targets: number; correct: number; entropySum: number; logprobs: number[] })[];
  targets: number;
  lossSum: number;
  lossMean: number;
  truth: { lossSum: number; lossMean: number; gradientNorms: Record<string, number> };
  errors: Record<ErrorMode, { loss: number; logits: RoundingError; gradients: Record<string, RoundingError> }>;
}

export interface Generation {
  maxNewTokens: number;
  stopIds: number[];
  prompts: { prompt: number[]; greedy: number[]; greedyStopped: number[]; smallestMargin: number }[];
}

export interface Trajectory {
  settings: {
    learningRate: number;
    beta1: number;
    beta2: number;
    epsilon: number;
    weightDecay: number;
    maxGradNorm: number;
    schedule: 'cosine';
    warmupSteps: number;
    steps: number;
  };
  decayed: string[];
  /** [update][micro-batch][sequence] */
  updates: Sequence[][][];
  steps: { loss: number; gradNorm: number; learningRate: number; truthLoss: number }[];
}

export interface PreparedRow {
  input_ids: number[];
  labels: number[];
}

/** TRL's settings, by its names; what a run leaves out has TRL's default. */
interface TrlSettings {
  per_device_train_batch_size: number;
  per_device_eval_batch_size: number;
  gradient_accumulation_steps: number;
  num_train_epochs: number;
  max_steps?: number;
  learning_rate: number;
  lr_scheduler_type: 'cosine' | 'linear' | 'constant' | 'constant_with_warmup';
  /** Below 1: a share of all steps, rounded up. */
  warmup_steps: number;
  weight_decay: number;
  max_grad_norm: number;
  adam_beta1: number;
  adam_beta2: number;
  adam_epsilon: number;
  max_length: number;
  logging_steps: number;
  logging_first_step?: boolean;
  eval_strategy: 'steps' | 'no';
  eval_steps: number;
  save_strategy: 'steps' | 'no';
  save_steps?: number;
  load_best_model_at_end?: boolean;
  completion_only_loss?: boolean;
  seed: number;
  loss_type: 'chunked_nll' | 'nll';
}

interface TrainerState {
  log_history: Record<string, number>[];
  [field: string]: unknown;
}

export interface TrlRun {
  columns: 'input_ids' | 'completion_mask' | 'labels' | 'text' | 'prompt, completion';
  settings: TrlSettings;
  prepared: { train: PreparedRow[]; eval: PreparedRow[] };
  /** [epoch][batch][row]: indices into `prepared.train`. */
  order: number[][][];
  log_history: Record<string, number>[];
  trainer_state: TrainerState;
  checkpoints: Record<string, TrainerState>;
}

/** A run of two processes, without evaluation. */
export interface TrlRanksRun {
  settings: TrlSettings;
  /** The training rows. */
  prepared: PreparedRow[];
  /** [rank][epoch][batch][row]: indices into `prepared`. */
  orders: number[][][][];
  log_history: Record<string, number>[];
}

/** Names in `log_history` whose values are wall-clock results, written as 0. */
export const MEASURED = /_(runtime|samples_per_second|steps_per_second)$/;

/** Path of a golden file or model folder, e.g. `goldenPath('tiny')`. */
export function goldenPath(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url));
}

export function loadForward(model: ModelName): Forward {
  return readJson(`${model}/forward.json`);
}

/** `logits.<i>` and `gradient.<parameter>` as float32. */
export function loadForwardArrays(model: ModelName): Arrays<Float32Array> {
  return readArrays(`${model}/forward.safetensors`, 'F32', Float32Array);
}

/** `truth.logits.<i>` as float64. */
export function loadTruthArrays(model: ModelName): Arrays<Float64Array> {
  return readArrays(`${model}/forward.safetensors`, 'F64', Float64Array);
}

export function loadGeneration(model: ModelName): Generation {
  return readJson(`${model}/generation.json`);
}

export function loadTrajectory(): Trajectory {
  return readJson('tiny/trajectory.json');
}

/** The weights of `tiny` after the last update of the trajectory, by parameter name. */
export function loadTrajectoryWeights(): Arrays<Float32Array> {
  return readArrays('tiny/trajectory.safetensors', 'F32', Float32Array);
}

export function loadTrlRun(name: TrlRunName): TrlRun {
  return readJson(`trl/${name}.json`);
}

export function loadTrlRanksRun(name: TrlRanksRunName): TrlRanksRun {
  return readJson(`trl/${name}.json`);
}

export function readJson<T>(relative: string): T {
  return JSON.parse(readFileSync(goldenPath(relative), 'utf8')) as T;
}

/** The arrays of one element type in a safetensors file: u64 header length, JSON header, then the bytes. */
export function readArrays<Data>(
  relative: string,
  dtype: 'F32' | 'F64' | 'I32',
  View: new (buffer: ArrayBuffer) => Data,
): Arrays<Data> {
  const file = readFileSync(goldenPath(relative));
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, start)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const arrays: Arrays<Data> = new Map();
  for (const [name, entry] of Object.entries(header)) {
    if (entry.dtype !== dtype) continue;
    // Copied, because a view needs an aligned start.
    const bytes = new Uint8Array(file.subarray(start + entry.data_offsets[0], start + entry.data_offsets[1]));
    arrays.set(name, { shape: entry.shape, data: new View(bytes.buffer as ArrayBuffer) });
  }
  return arrays;
}
