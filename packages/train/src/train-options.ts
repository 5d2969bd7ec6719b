// Written by scripts/option-types.mjs from the table of options: change it there.

/** All options of training with their values; null where one is left open. */
export interface TrainOptions {
  /** Number of updates; -1 = as many as `numTrainEpochs` gives. Default: -1. */
  maxSteps: number;
  /** Passes over the rows; may be a fraction. Default: by the number of rows; 3 with compat trl. */
  numTrainEpochs: number | null;
  /** Rows of one micro-batch. Default: by the number of rows; 8 with compat trl. */
  perDeviceTrainBatchSize: number | null;
  /** Rows of one evaluation batch. Default: 8. */
  perDeviceEvalBatchSize: number;
  /** Micro-batches of one update. Default: 1. */
  gradientAccumulationSteps: number;
  /** Highest learning rate. Default: by the number of rows; 0.00002 with compat trl. */
  learningRate: number | null;
  /** How the learning rate moves after warm-up. Default: by the number of rows; linear with compat trl. */
  lrSchedulerType: 'constant' | 'constant_with_warmup' | 'linear' | 'cosine' | null;
  /** Share of all updates that warm up. Default: by the number of rows; 0 with compat trl. */
  warmupRatio: number | null;
  /** Updates that warm up; below 1 a share. Wins over `warmupRatio`. Unset: `warmupRatio` decides. */
  warmupSteps: number | null;
  /** AdamW weight decay of all matrices, the tied embedding included; never of norms. Default: 0. */
  weightDecay: number;
  /** Gradients are scaled down to this norm; 0 = never. Default: 1. */
  maxGradNorm: number;
  /** Decay of the first moment. Default: 0.9. */
  adamBeta1: number;
  /** Decay of the second moment. Default: 0.999. */
  adamBeta2: number;
  /** Added to the root of the second moment. Default: 1e-8. */
  adamEpsilon: number;
  /** A log row every so many updates. Default: 10. */
  loggingSteps: number;
  /** Also log the first update. Default: false. */
  loggingFirstStep: boolean;
  /** When to evaluate. Unset: 'steps' where `evalSteps` is set, else 'epoch' where there are evaluation rows. */
  evalStrategy: 'no' | 'steps' | 'epoch' | null;
  /** Evaluate every so many updates. Unset: as `loggingSteps`. */
  evalSteps: number | null;
  /** When to write a checkpoint. Default: 'steps'. */
  saveStrategy: 'no' | 'steps' | 'epoch' | 'best';
  /** A checkpoint every so many updates (and at the end). Default: 500. */
  saveSteps: number;
  /** Keep only the newest checkpoints, and always the best. */
  saveTotalLimit: number | null;
  /** End with the weights of the best evaluation instead of the last. Default: false. */
  loadBestModelAtEnd: boolean;
  /** Evaluation metric that decides what is best. Unset: 'loss' with `loadBestModelAtEnd`. */
  metricForBestModel: string | null;
  /** Unset: true unless the metric's name ends in 'loss'. */
  greaterIsBetter: boolean | null;
  /** Decides the order of rows and, without master weights, how updates are rounded. Default: 42. */
  seed: number;
  /** Decides the order of rows instead of `seed`. */
  dataSeed: number | null;
  /** Give up after so many updates in a row without a finite gradient. Default: 3. */
  nonFinitePatience: number;
  /** Folder for checkpoints and the trained model. Unset: nothing is written. */
  outputDir: string | null;
  /** Allow an output folder that already holds a model; its checkpoints are removed. Default: false. */
  overwrite: boolean;
  /** Continue from the newest checkpoint in `outputDir` (true) or from a given one (its folder). Default: false. */
  resume: boolean | string;
  /** 'trl' reproduces TRL 1.13 with its quirks. */
  compat: 'trl' | null;
  /** Longest row in tokens. Default: 1024. */
  maxLength: number;
  /** Which tokens are learnt. Unset: the answer, where a row has one. */
  loss: 'full' | 'completion' | 'assistant' | null;
  /** Fill sequences of `maxLength` tokens with several rows. Default: false. */
  packing: boolean;
  /** Most tokens computed at once. Unset: a micro-batch on the CPU, as much as fits on a GPU. */
  tokensPerPass: number | null;
  /**
   * What backward makes again instead of keeping it; same result. 'elementwise': norms, rope and GeGLU, nearly free;
   * 'blocks': all of a layer. Unset: elementwise on the CPU, as little as fits on a GPU.
   */
  recompute: 'none' | 'elementwise' | 'blocks' | null;
  /**
   * Keep float32 masters of bfloat16 weights. False: weights, gradients and moments in bfloat16 with stochastic
   * rounding, half the memory (CPU only). Default: true.
   */
  masterWeights: boolean;
  /** TRL's name for recompute 'blocks': less memory, same result. Default: false. */
  gradientCheckpointing: boolean;
}
