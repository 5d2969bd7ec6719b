import {
  choice,
  didYouMean,
  flag,
  integer,
  interval,
  number,
  type Option,
  optional,
  shown,
  text,
} from '@gemmatune/base';
import type { Recompute } from '@gemmatune/engine';
import { TrainError } from './errors.js';
import { byRows, refused } from './option.js';
import type { TrainOptions } from './train-options.js';

/** How the learning rate moves after warm-up; their lambdas are in schedule.ts. */
export const LR_SCHEDULER_TYPES = ['constant', 'constant_with_warmup', 'linear', 'cosine'] as const;
export type LrSchedulerType = (typeof LR_SCHEDULER_TYPES)[number];

/** In this order each needs less memory and at least as much work. */
export const RECOMPUTE_MODES = ['none', 'elementwise', 'blocks'] as const satisfies readonly Recompute[];

/**
 * Every option of fine-tuning, in one table: the TypeScript type, the checks, the defaults and the help texts follow from it.
 * Names are TRL's in camelCase, defaults are those of TRL 1.13's SFTConfig, but for those that follow from the number of rows (by-rows.ts).
 */
export const TRAIN_OPTIONS = {
  maxSteps: integer('Number of updates; -1 = as many as `numTrainEpochs` gives.', -1, { min: -1 }),
  numTrainEpochs: byRows(number('Passes over the rows; may be a fraction.', 3, { above: 0 })),
  perDeviceTrainBatchSize: byRows(integer('Rows of one micro-batch.', 8, { min: 1 })),
  perDeviceEvalBatchSize: integer('Rows of one evaluation batch.', 8, { min: 1 }),
  gradientAccumulationSteps: integer('Micro-batches of one update.', 1, { min: 1 }),

  learningRate: byRows(number('Highest learning rate.', 2e-5, { min: 0 })),
  lrSchedulerType: byRows(choice('How the learning rate moves after warm-up.', LR_SCHEDULER_TYPES, 'linear')),
  warmupRatio: byRows(number('Share of all updates that warm up.', 0, { min: 0, max: 1 })),
  warmupSteps: optional(
    number('Updates that warm up; below 1 a share. Wins over `warmupRatio`. Unset: `warmupRatio` decides.', 0, {
      min: 0,
    }),
  ),
  weightDecay: number('AdamW weight decay of all matrices, the tied embedding included; never of norms.', 0, {
    min: 0,
  }),
  maxGradNorm: number('Gradients are scaled down to this norm; 0 = never.', 1, { min: 0 }),
  adamBeta1: number('Decay of the first moment.', 0.9, { min: 0, below: 1 }),
  adamBeta2: number('Decay of the second moment.', 0.999, { min: 0, below: 1 }),
  adamEpsilon: number('Added to the root of the second moment.', 1e-8, { min: 0 }),

  loggingSteps: interval('A log row every so many updates.', 10),
  loggingFirstStep: flag('Also log the first update.'),
  evalStrategy: optional(
    choice(
      "When to evaluate. Unset: 'steps' where `evalSteps` is set, else 'epoch' where there are evaluation rows.",
      ['no', 'steps', 'epoch'],
      'no',
    ),
  ),
  evalSteps: interval('Evaluate every so many updates. Unset: as `loggingSteps`.', null),
  saveStrategy: choice('When to write a checkpoint.', ['no', 'steps', 'epoch', 'best'], 'steps'),
  saveSteps: interval('A checkpoint every so many updates (and at the end).', 500),
  saveTotalLimit: optional(integer('Keep only the newest checkpoints, and always the best.', 1, { min: 1 })),
  loadBestModelAtEnd: flag('End with the weights of the best evaluation instead of the last.'),
  metricForBestModel: text("Evaluation metric that decides what is best. Unset: 'loss' with `loadBestModelAtEnd`."),
  greaterIsBetter: optional(flag("Unset: true unless the metric's name ends in 'loss'.")),

  seed: integer('Decides the order of rows and, without master weights, how updates are rounded.', 42, {
    min: 0,
    max: 0xffffffff,
  }),
  dataSeed: optional(integer('Decides the order of rows instead of `seed`.', 42, { min: 0, max: 0xffffffff })),
  nonFinitePatience: integer('Give up after so many updates in a row without a finite gradient.', 3, { min: 1 }),

  outputDir: text('Folder for checkpoints and the trained model. Unset: nothing is written.', null, 'a folder'),
  overwrite: flag('Allow an output folder that already holds a model; its checkpoints are removed.'),
  resume: {
    default: false,
    help: 'Continue from the newest checkpoint in `outputDir` (true) or from a given one (its folder).',
    type: 'boolean | string',
    expected: 'true, false or the folder of a checkpoint',
    accepts: (value: unknown): value is boolean | string =>
      typeof value === 'boolean' || (typeof value === 'string' && value !== ''),
  } satisfies Option<boolean | string>,
  compat: optional(choice("'trl' reproduces TRL 1.13 with its quirks.", ['trl'], 'trl')),

  // Acted on where rows are encoded and the model is loaded, before the loop sees them.
  maxLength: integer('Longest row in tokens.', 1024, { min: 2 }),
  loss: optional(
    choice(
      'Which tokens are learnt. Unset: the answer, where a row has one.',
      ['full', 'completion', 'assistant'],
      'full',
    ),
  ),
  packing: flag('Fill sequences of `maxLength` tokens with several rows.'),

  tokensPerPass: optional(
    integer('Most tokens computed at once. Unset: a micro-batch on the CPU, as much as fits on a GPU.', 8192, {
      min: 1,
    }),
  ),
  recompute: optional(
    choice(
      "What backward makes again instead of keeping it; same result. 'elementwise': norms, rope and GeGLU, nearly free; 'blocks': all of a layer. Unset: elementwise on the CPU, as little as fits on a GPU.",
      RECOMPUTE_MODES,
      'none',
    ),
  ),
  masterWeights: flag(
    'Keep float32 masters of bfloat16 weights. False: weights, gradients and moments in bfloat16 with stochastic rounding, half the memory (CPU only).',
    true,
  ),
  gradientCheckpointing: flag("TRL's name for recompute 'blocks': less memory, same result."),
};

export type { TrainOptions } from './train-options.js';
export type TrainOptionName = keyof TrainOptions;

const NAMES = Object.keys(TRAIN_OPTIONS) as TrainOptionName[];

/** Names of TRL and transformers (old and new) for our options. Every option's snake_case form is one of them. */
export const TRAIN_OPTION_ALIASES: Readonly<Record<string, TrainOptionName>> = {
  ...Object.fromEntries(NAMES.map((name) => [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), name])),
  max_seq_length: 'maxLength',
  evaluation_strategy: 'evalStrategy',
  per_gpu_train_batch_size: 'perDeviceTrainBatchSize',
  per_gpu_eval_batch_size: 'perDeviceEvalBatchSize',
  resume_from_checkpoint: 'resume',
  overwrite_output_dir: 'overwrite',
  lr_scheduler: 'lrSchedulerType',
};

/** Names that stand for a value of one of our options. */
const TRANSLATED: Readonly<Record<string, (on: boolean) => Partial<TrainOptions>>> = {
  completion_only_loss: (on) => ({ loss: on ? 'completion' : 'full' }),
  assistant_only_loss: (on) => (on ? { loss: 'assistant' } : {}),
};

/** Names of TRL that decide nothing here, and why: accepted, so that a configuration can be carried over as it is. */
const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  bf16: "the model's dtype decides",
  fp16: "the model's dtype decides",
  use_cache: 'training never caches',
  report_to: 'events and trainer_state.json carry every number',
  logging_dir: 'logs go to trainer_state.json',
  run_name: 'runs are known by their output folder',
  push_to_hub: 'pushing is a command of its own',
  save_safetensors: 'models are always written as safetensors',
  padding_free: 'micro-batches never have padding',
  group_by_length: 'micro-batches never have padding',
  dataloader_num_workers: 'rows are encoded before training',
  dataloader_pin_memory: 'rows are encoded before training',
  remove_unused_columns: 'rows are encoded before training',
  dataset_text_field: 'the format of a row is recognised',
  do_train: 'train() trains',
  do_eval: 'evalStrategy decides',
  disable_tqdm: 'progress is an event',
};

/** Names of TRL that this trainer fulfils for these values and no others. */
const FIXED: Readonly<Record<string, readonly unknown[]>> = {
  optim: ['adamw_torch_fused', 'adamw_torch', 'adamw_hf', 'adamw'],
  logging_strategy: ['steps'],
  dataloader_drop_last: [false],
  label_smoothing_factor: [0],
  neftune_noise_alpha: [null],
};

/** Every name that an option may be given by. */
export const KNOWN_OPTION_NAMES: readonly string[] = [
  ...NAMES,
  ...Object.keys(TRAIN_OPTION_ALIASES),
  ...Object.keys(TRANSLATED),
  ...Object.keys(WITHOUT_EFFECT),
  ...Object.keys(FIXED),
];

/**
 * Checks options of unknown origin (a configuration file, a caller without types) and fills in the defaults, but for those that follow from the
 * number of rows: optionsForRows does. Accepts our names and those of TRL / transformers; `undefined` means "not given".
 * @param onNote hears one sentence for each option that was accepted but decides nothing here.
 * @throws TrainError ERR_GEMMATUNE_ARGUMENT naming the option, what was found and what was expected.
 */
export function resolveTrainOptions(input: unknown = {}, onNote: (sentence: string) => void = () => {}): TrainOptions {
  if (input === null || typeof input !== 'object' || Array.isArray(input)) {
    throw refused('options', input, 'an object of options');
  }
  const given: Record<string, unknown> = {};
  const givenAs: Record<string, string> = {};
  for (const [name, value] of Object.entries(input)) {
    if (value === undefined) continue;
    for (const [option, converted] of Object.entries(translate(name, value, onNote))) {
      if (option in given) {
        throw new TrainError(
          'ERR_GEMMATUNE_ARGUMENT',
          `\`${givenAs[option]}\` and \`${name}\` are the same option (\`${option}\`); expected only one of them.`,
        );
      }
      given[option] = converted;
      givenAs[option] = name;
    }
  }

  const options: Record<string, unknown> = {};
  for (const name of NAMES) {
    const { default: fallback, trl, expected, accepts } = TRAIN_OPTIONS[name] as Option<unknown>;
    const value = name in given ? given[name] : fallback;
    if (!accepts(value)) throw refused(givenAs[name] ?? name, value, expected);
    options[name] = value === null && given.compat === 'trl' ? (trl ?? null) : value;
  }
  const resolved = options as unknown as TrainOptions;
  settle(resolved, onNote);
  return resolved;
}

/** What one given name and value mean in our names. */
function translate(name: string, value: unknown, onNote: (sentence: string) => void): Record<string, unknown> {
  if (Object.hasOwn(TRAIN_OPTIONS, name)) return { [name]: value };
  if (Object.hasOwn(TRAIN_OPTION_ALIASES, name)) return { [TRAIN_OPTION_ALIASES[name]!]: value };
  if (Object.hasOwn(TRANSLATED, name)) {
    if (value === null) return {};
    if (typeof value !== 'boolean') throw refused(name, value, 'true or false');
    return TRANSLATED[name]!(value);
  }
  if (Object.hasOwn(WITHOUT_EFFECT, name)) {
    onNote(`\`${name}\` has no effect here: ${WITHOUT_EFFECT[name]}.`);
    return {};
  }
  if (Object.hasOwn(FIXED, name)) {
    if (!FIXED[name]!.includes(value)) throw refused(name, value, FIXED[name]!.map(shown).join(' or '));
    return {};
  }
  const hint = didYouMean(name, KNOWN_OPTION_NAMES, 'see the list of options');
  throw new TrainError('ERR_GEMMATUNE_ARGUMENT', `Unknown option '${name}'; ${hint}`);
}

/** Options that follow from others, and combinations that make no sense. */
function settle(options: TrainOptions, onNote: (sentence: string) => void): void {
  if (options.maxSteps === 0) throw refused('maxSteps', 0, '-1 or an integer of at least 1');
  const { warmupSteps, warmupRatio } = options;
  if (warmupSteps !== null && warmupSteps > 1 && !Number.isInteger(warmupSteps)) {
    throw refused('warmupSteps', warmupSteps, 'a whole number, or a share below 1');
  }
  if (options.lrSchedulerType === 'constant' && (warmupSteps || warmupRatio)) {
    onNote("`lrSchedulerType` 'constant' has no warm-up; use 'constant_with_warmup' for one.");
  }

  if (options.evalSteps !== null) options.evalStrategy ??= 'steps';
  if (options.compat === 'trl') options.evalStrategy ??= 'no';
  if (options.evalStrategy === 'steps') options.evalSteps ??= options.loggingSteps;

  if (options.gradientCheckpointing) {
    options.recompute ??= 'blocks';
    if (options.recompute !== 'blocks') {
      throw new TrainError(
        'ERR_GEMMATUNE_ARGUMENT',
        `\`gradientCheckpointing\` recomputes whole blocks, but \`recompute\` is '${options.recompute}'; expected 'blocks', or only one of the two options.`,
      );
    }
  }

  if (options.loadBestModelAtEnd || options.saveStrategy === 'best') options.metricForBestModel ??= 'loss';
  if (options.metricForBestModel !== null) options.greaterIsBetter ??= !options.metricForBestModel.endsWith('loss');
  refuseBestUnseen(options);
  if (options.loadBestModelAtEnd && options.outputDir === null) {
    throw new TrainError(
      'ERR_GEMMATUNE_ARGUMENT',
      '`loadBestModelAtEnd` needs an `outputDir` to keep the best model in.',
    );
  }
  if (options.compat === 'trl' && options.loadBestModelAtEnd && options.saveStrategy !== 'best')
    settleBestAsTrl(options);
  if (options.resume !== false && options.outputDir === null) {
    throw new TrainError('ERR_GEMMATUNE_ARGUMENT', '`resume` needs the `outputDir` that holds the checkpoints.');
  }
}

/** @throws TrainError where the best model is asked for, and nothing is evaluated */
export function refuseBestUnseen({
  metricForBestModel,
  evalStrategy,
}: Pick<TrainOptions, 'metricForBestModel' | 'evalStrategy'>): void {
  if (metricForBestModel === null || evalStrategy !== 'no') return;
  throw new TrainError(
    'ERR_GEMMATUNE_ARGUMENT',
    "The best model can only be found by evaluating, but `evalStrategy` is 'no'; set `evalSteps`, or `evalStrategy` to 'epoch'.",
  );
}

/** TRL saves only on schedule, so it wants an evaluation at every save (training_args.py); the default saves each new best at once. */
function settleBestAsTrl({ evalStrategy, saveStrategy, evalSteps, saveSteps }: TrainOptions): void {
  if (evalStrategy !== saveStrategy) {
    throw new TrainError(
      'ERR_GEMMATUNE_ARGUMENT',
      `\`loadBestModelAtEnd\` with \`compat\` 'trl' needs the same \`evalStrategy\` and \`saveStrategy\`, but they are '${evalStrategy}' and '${saveStrategy}'.`,
    );
  }
  const multiple = saveSteps / (evalSteps ?? saveSteps);
  if (evalStrategy === 'steps' && Math.abs(multiple - Math.round(multiple)) > 1e-9) {
    throw new TrainError(
      'ERR_GEMMATUNE_ARGUMENT',
      `\`loadBestModelAtEnd\` with \`compat\` 'trl' needs \`saveSteps\` to be a multiple of \`evalSteps\`, but they are ${saveSteps} and ${evalSteps}.`,
    );
  }
}
