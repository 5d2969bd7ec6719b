// Written by scripts/option-types.mjs from the table of options: change it there.
import type { DeviceSpec } from '@gemmatune/engine';
import type { TrainOptions } from '@gemmatune/train';

/**
 * What a run may be given, beside the options of training: the model, the folder to write to, and the rows to train on (`train`, or
 * `dataset`) must be. TRL's names of training options (`per_device_train_batch_size`, …) are taken too.
 */
export interface FinetuneOptions extends Partial<TrainOptions> {
  /** A folder in the Hugging Face layout, a Hub id such as google/functiongemma-270m-it, or kaggle:…. */
  model: string;
  /** Rows to train on: those of prepare, {messages, tools}, {prompt, completion}, {text} or {input_ids, labels?}. */
  train?: string | null;
  /** Rows for evaluation, of the same kinds. */
  evalFile?: string | null;
  /**
   * Instead of `train` and `evalFile`: prepare this data set (a file or Hub id) into the folder data of `outputDir`
   * first.
   */
  dataset?: string | null;
  /** Split of a Hub data set. Default: 'train'. */
  split?: string;
  /** With `dataset`: how many rows to take after the shuffle. Default: all. */
  take?: number | null;
  /** With `dataset`: how many of those, the last ones, are for evaluation. Default: 0. */
  eval?: number;
  /**
   * How a call is written: FunctionGemma's own way, or the tutorial's {args:<escape>{json}<escape>}. Default:
   * 'native'.
   */
  format?: 'native' | 'tutorial';
  /**
   * Generate calls for so many rows of the evaluation side before and after training: rows of prepare, or
   * conversations that end in one call. Default: 0.
   */
  evaluate?: number;
  /** With `evaluate`: most tokens to generate for a row. Default: 128. */
  maxNewTokens?: number;
  /** The same after training. Default: as before. */
  maxNewTokensAfter?: number | null;
  /** Where to compute (cpu, cuda, cuda:1, …; emulated runs GPU kernels on the CPU, for tests). Default: 'cpu'. */
  device?: DeviceSpec;
  /** Type of weights in products; a GPU takes bfloat16. Default: 'auto'. */
  dtype?: 'auto' | 'float32' | 'bfloat16';
  /** CPU threads of a process; 0 = one per core, divided between the ranks of a machine. Default: 0. */
  threads?: number;
  /** What carries gradients between ranks; auto: nccl for cuda. Default: 'auto'. */
  collectives?: 'auto' | 'gloo' | 'nccl';
  /**
   * What gradients are on the way between ranks; bfloat16 for links below 5 GB/s. Sums are float32. Default:
   * 'float32'.
   */
  gradientWire?: 'float32' | 'bfloat16';
  /**
   * Each rank trains its slice of the vocabulary and updates its share of every layer. False: all of it. Default:
   * true.
   */
  sharded?: boolean;
  /** No network: what is named by a Hub id must be in the cache. Default: false. */
  offline?: boolean;
  /** Folder for the model, checkpoints and report.html. */
  outputDir: string;
}
