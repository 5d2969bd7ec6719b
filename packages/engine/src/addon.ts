/**
 * The whole boundary between TypeScript and the native core, in one file. What crosses: typed arrays, numbers, strings and plain
 * objects. The binding copies typed arrays at the call, so the caller may reuse them at once. One call may be in flight per model;
 * a second rejects with ERR_GEMMATUNE_BUSY. Every promise settles off the event loop's back: native threads do the work.
 */

/** Element types of files and of the arithmetic. */
export type DTypeName = 'float32' | 'bfloat16';
export type DeviceName = 'cpu' | 'cuda' | 'emulated';
/**
 * What the backward pass makes again instead of keeping it: nothing; the outputs of norms, rope and GeGLU (nearly free); all of a layer
 * but its input (gradient checkpointing: about a third more work). The same bits.
 */
export type Recompute = 'none' | 'elementwise' | 'blocks';

/** What ranks other than this one are told of, and what decides when they are given up. */
export interface GroupOptions {
  rank: number;
  size: number;
  /** `unix:/fresh-folder/socket` on one machine, else `tcp:host:port`, where rank 0 listens. */
  address: string;
  /** Whatever the ranks of this run share and others do not know: strangers at the port are turned away. Default ''. */
  run?: string;
  /** Of this rank, for the others' errors. Default: host and process. */
  description?: string;
  /** Seconds until all ranks must have come. Default 300. */
  joinTimeout?: number;
  /** Seconds without a sign of life after which a rank is lost. Default 30. */
  rankTimeout?: number;
}

/** How a model's gradients are shared. */
export interface SharingOptions {
  /** Default auto: NCCL for cuda, Gloo for cpu and emulated. */
  collectives?: 'auto' | 'gloo' | 'nccl';
  /** What gradients are on the link; sums are float32 either way. Default float32. */
  wire?: 'float32' | 'bfloat16';
  /**
   * Each rank trains a part of the model: its slice of the vocabulary, and its share of every layer's update. Fewer bytes on the link, and less to do.
   * Default true; false adds up whole gradients, and every rank makes the whole update.
   */
  sharded?: boolean;
}

/** What sharing has cost so far. */
export interface Traffic {
  collectives: number;
  /** Sent by this rank. */
  bytes: number;
  /** Seconds in which a collective was under way. */
  busy: number;
  /** Seconds in which this rank stood still for one. */
  waited: number;
}

/** Gemma 3 text configuration, as plain numbers (see config.ts for where they come from). */
export interface NativeConfig {
  vocabSize: number;
  hiddenSize: number;
  numLayers: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
  intermediateSize: number;
  /** Tokens a sliding layer sees: itself and the slidingWindow - 1 before it. */
  slidingWindow: number;
  /** One byte per layer: 1 = full attention, 0 = sliding window. */
  fullAttention: Uint8Array;
  /** Rope base of full layers. */
  ropeTheta: number;
  /** Rope base of sliding layers. */
  ropeLocalTheta: number;
  /** Linear scaling of the global rope, 1 = none. */
  ropeFactor: number;
  rmsNormEps: number;
  queryPreAttnScalar: number;
  maxPositionEmbeddings: number;
}

interface NativeOptions {
  dtype: DTypeName;
  device: DeviceName;
  /** Which of the devices of that kind, from 0. */
  deviceIndex: number;
  /** CPU threads, 0 = one per core. */
  threads: number;
  /** Allocate gradients and AdamW state (16 bytes a parameter in all instead of 2 or 4; 8 without masterWeights). */
  trainable: boolean;
  /** In training: float32 masters of bfloat16 weights. False: weights, gradients and moments are bfloat16 (cpu). */
  masterWeights: boolean;
  recompute: Recompute;
}

export interface ParameterInfo {
  name: string;
  shape: number[];
  /** AdamW weight decay applies (matrices yes, norms no). */
  decay: boolean;
}

/** Where one tensor lies in a safetensors file. `index` counts in the order of `parameters()`. */
export interface TensorSource {
  index: number;
  path: string;
  offset: number;
  dtype: 'float32' | 'bfloat16' | 'float16';
}

/** Which numbers of a parameter: its weight (the float32 master where there is one), AdamW's moments, or the accumulated gradient. */
export type Part = 'weight' | 'exp_avg' | 'exp_avg_sq' | 'gradient';

/** Packed sequences: sequence i is tokens[starts[i] .. starts[i+1]). targets[t] is what position t should predict, -100 = not a target. */
export interface Batch {
  tokens: Int32Array;
  targets: Int32Array;
  starts: Int32Array;
}

/** Sums over the targets of one batch. */
export interface BatchMetrics {
  lossSum: number;
  targets: number;
  correct: number;
  entropySum: number;
}

export interface Update {
  learningRate: number;
  /** Counts from 1; sets AdamW's bias correction. */
  step: number;
  /** The accumulated gradient is divided by this (tokens trained on in the whole step). */
  divisor: number;
  /** Clip the divided gradient to this norm; 0 = do not clip. */
  maxGradNorm: number;
  weightDecay: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  /** Decides how weights and moments are rounded without master weights, an integer; with them it changes nothing. Default: 0. */
  seed?: number;
}

/** What the calls of one op took. */
export interface OpTime {
  /** As the core names it: matmul_forward, attention_backward, adamw_update, … */
  op: string;
  calls: number;
  /** Of kernels; 0 on the CPU. */
  launches: number;
  seconds: number;
}

export interface GenerateOptions {
  maxNewTokens: number;
  stopIds: Int32Array;
  /** 0 = greedy. */
  temperature: number;
  topK: number;
  topP: number;
  seed: number;
  /** Sequences decoded side by side. */
  batchSize: number;
}

export interface NativeGroup {
  /** Waits for all ranks. */
  join(): Promise<void>;
  /** Every rank's bytes, by rank. */
  gather(what: string, mine: Uint8Array): Promise<Uint8Array[]>;
  /** '' where all is done, else why this rank goes. Ends calls that wait. */
  leave(reason: string): void;
}

export interface NativeModel {
  parameters(): ParameterInfo[];
  /** Fills parameters (or moments) from safetensors ranges; converts to the model's dtype. Refuses non-finite values. */
  load(part: Part, sources: TensorSource[]): Promise<void>;
  /** Normal(0, std) matrices, zero norms; a pure function of the seed. */
  initialize(seed: number, std: number): Promise<void>;
  /** Writes `header` (8-byte length and JSON, as given) and then every parameter in order as `dtype`; to a temporary file, then renames. */
  save(part: Part, dtype: DTypeName, path: string, header: Uint8Array): Promise<void>;
  /** One parameter's numbers as float32. */
  read(part: Part, index: number): Promise<Float32Array>;
  /** Forward only. logprobs[t] is the target's log-probability, NaN where targets[t] is -100. */
  score(batch: Batch): Promise<BatchMetrics & { logprobs: Float32Array }>;
  /**
   * Forward and backward: adds the gradient of the summed token losses. `last`: the update's last pass. In a shared model every rank calls it as often,
   * and a batch may have no tokens.
   */
  accumulate(batch: Batch, last: boolean): Promise<BatchMetrics>;
  /** Once, by every rank. Resolves to the library's name and version. */
  share(group: NativeGroup, sharing: Required<SharingOptions>): Promise<string>;
  /** By every rank: weights and moments are as their owners have them. */
  completeCopies(): Promise<void>;
  /** Of weights and moments. */
  checksum(): Promise<bigint>;
  traffic(): Traffic;
  /** Norm, clip, AdamW; then the gradient is zero. A non-finite gradient norm leaves the weights untouched and is reported. */
  update(update: Required<Update>): Promise<{ gradNorm: number; applied: boolean }>;
  /** The accumulated gradient is zero again. */
  discard(): Promise<void>;
  /** Prompts packed like a batch (no targets). `onTokens(done)` hears, at most ten times a second, how many prompts are finished. */
  generate(
    tokens: Int32Array,
    starts: Int32Array,
    options: GenerateOptions,
    onProgress?: (done: number) => void,
  ): Promise<Int32Array[]>;
  /** Ends a running generate at its next token, with ERR_GEMMATUNE_CANCELLED. */
  cancel(): void;
  /** Bytes that a training pass takes, by what it recomputes; `available`: bytes that passes may use, 0 = not limited (cpu). */
  plan(tokens: number, targets: number): { bytes: Record<Recompute, number>; available: number };
  /** From the next pass on. */
  setRecompute(recompute: Recompute): void;
  /** Bytes held: weights, state, and the largest activation arena so far. */
  memory(): { weights: number; state: number; activations: number };
  /** Times every op from now on, or no longer. */
  profile(on: boolean): void;
  /** Each op's times since the last take, in order of first call. */
  takeProfile(): OpTime[];
  /** Frees the memory; waits for a running call. Later calls throw ERR_GEMMATUNE_CLOSED. */
  dispose(): void;
}

/** As the native core tells about a GPU: versions and capabilities are CUDA's numbers. */
export interface NativeDevice {
  /** Among all devices of the kind, those that cannot be used included. */
  index: number;
  name: string;
  /** 75 = compute capability 7.5 */
  capability: number;
  /** Kernels used: 750 or 800. */
  path: number;
  multiprocessors: number;
  /** Bytes. */
  memory: number;
  free: number;
  /** 12040 = CUDA 12.4 */
  driver: number;
  runtime: number;
}

export interface NativeModule {
  Group: new (options: Required<GroupOptions>) => NativeGroup;
  Model: new (config: NativeConfig, options: NativeOptions) => NativeModel;
  /** What this build and this machine have: instruction sets, the one in use, backends compiled in. */
  info(): { instructionSet: string; cores: number; fastBfloat16: boolean; backends: DeviceName[] };
  /** The devices of a kind that can be used. `problem`: why there is none, or what is wrong with the first that cannot be used. */
  devices(kind: 'cuda' | 'emulated'): { devices: NativeDevice[]; problem: string | null };
  /** How many there are, without opening one; 0 for whatever reason. */
  deviceCount(kind: 'cuda' | 'emulated'): number;
}
