/** Every option of a run, in one table beside the trainer's: types, checks, defaults and help follow from it. */
import {
  choice,
  didYouMean,
  expectArgument,
  flag,
  InputError,
  integer,
  isObject,
  type Option,
  optional,
  required,
  shown,
  text,
  type ValuesOf,
} from '@gemmatune/base';
import { type DeviceSpec, parseDevice } from '@gemmatune/engine';
import {
  KNOWN_OPTION_NAMES,
  resolveTrainOptions,
  TRAIN_OPTION_ALIASES,
  TRAIN_OPTIONS,
  type TrainOptions,
} from '@gemmatune/train';
import type { FinetuneOptions } from './finetune-options.js';

export const modelOption = required(
  'A folder in the Hugging Face layout, a Hub id such as google/functiongemma-270m-it, or kaggle:….',
  'a model folder or Hub id',
);

const deviceOption: Option<DeviceSpec> = {
  default: 'cpu',
  help: 'Where to compute (cpu, cuda, cuda:1, …; emulated runs GPU kernels on the CPU, for tests).',
  type: 'DeviceSpec',
  expected: 'cpu, cuda, cuda:1 (or another number) or emulated',
  accepts: (value): value is DeviceSpec => typeof value === 'string' && parseDevice(value) !== undefined,
};

export const DEVICE_OPTIONS = {
  device: deviceOption,
  dtype: choice('Type of weights in products; a GPU takes bfloat16.', ['auto', 'float32', 'bfloat16'], 'auto'),
  threads: integer('CPU threads of a process; 0 = one per core, divided between the ranks of a machine.', 0, {
    min: 0,
  }),
};
export type DeviceOptions = ValuesOf<typeof DEVICE_OPTIONS>;

export const formatOption = choice(
  "How a call is written: FunctionGemma's own way, or the tutorial's {args:<escape>{json}<escape>}.",
  ['native', 'tutorial'],
  'native',
);

const RUN_OPTIONS = {
  model: modelOption,
  train: text(
    'Rows to train on: those of prepare, {messages, tools}, {prompt, completion}, {text} or {input_ids, labels?}.',
  ),
  evalFile: text('Rows for evaluation, of the same kinds.'),
  dataset: text(
    'Instead of `train` and `evalFile`: prepare this data set (a file or Hub id) into the folder data of `outputDir` first.',
  ),
  split: text('Split of a Hub data set.', 'train'),
  take: optional(integer('With `dataset`: how many rows to take after the shuffle. Default: all.', 1, { min: 1 })),
  eval: integer('With `dataset`: how many of those, the last ones, are for evaluation.', 0, { min: 0 }),
  format: formatOption,
  evaluate: integer(
    'Generate calls for so many rows of the evaluation side before and after training: rows of prepare, or conversations that end in one call.',
    0,
    { min: 0 },
  ),
  maxNewTokens: integer('With `evaluate`: most tokens to generate for a row.', 128, { min: 1 }),
  maxNewTokensAfter: optional(integer('The same after training. Default: as before.', 1, { min: 1 })),
  ...DEVICE_OPTIONS,
  collectives: choice('What carries gradients between ranks; auto: nccl for cuda.', ['auto', 'gloo', 'nccl'], 'auto'),
  gradientWire: choice(
    'What gradients are on the way between ranks; bfloat16 for links below 5 GB/s. Sums are float32.',
    ['float32', 'bfloat16'],
    'float32',
  ),
  sharded: {
    ...flag('Each rank trains its slice of the vocabulary and updates its share of every layer. False: all of it.'),
    default: true,
  },
  offline: flag('No network: what is named by a Hub id must be in the cache.'),
};

const outputDir = required('Folder for the model, checkpoints and report.html.', 'a folder');

export type { FinetuneOptions } from './finetune-options.js';
export const FINETUNE_OPTIONS = { ...RUN_OPTIONS, ...TRAIN_OPTIONS, outputDir };

/** A run's options, checked, each with its value. */
export interface Settings extends ValuesOf<typeof RUN_OPTIONS> {
  training: TrainOptions & { outputDir: string };
  /** With a data set: of its shuffle. */
  shuffleSeed: number;
}

/**
 * Checks options of unknown origin and fills in the defaults, but for those that follow from the number of rows. `undefined` means "not given".
 * @param onNote hears one sentence for each option that was accepted but decides nothing here
 * @throws InputError, or TrainError for an option of training, naming the option, what was found and what was expected
 */
export function resolveFinetuneOptions(
  input: FinetuneOptions,
  onNote: (sentence: string) => void = () => {},
): Settings {
  expectArgument('finetune', 'options', input, isObject(input), 'an object of options');
  const given = Object.entries(input).filter(([, value]) => value !== undefined);
  const own: Record<string, unknown> = Object.fromEntries(given.filter(([name]) => Object.hasOwn(RUN_OPTIONS, name)));
  const training: Record<string, unknown> = Object.fromEntries(
    given.filter(([name]) => !Object.hasOwn(RUN_OPTIONS, name)),
  );
  refuseUnknown(Object.keys(training));

  const values: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(RUN_OPTIONS)) {
    const value = name in own ? own[name] : option.default;
    if (!option.accepts(value)) throw refused(name, name in own ? value : undefined, option.expected);
    values[name] = value;
  }
  const run = values as ValuesOf<typeof RUN_OPTIONS>;
  const place = training.outputDir ?? training.output_dir;
  if (!outputDir.accepts(place)) throw refused('outputDir', place, outputDir.expected);
  if ((run.train === null) === (run.dataset === null))
    throw new InputError('Expected one of `train` and `dataset`: the rows to train on.');
  if (run.evaluate > 0 && !hasEvalRows(run))
    throw new InputError('`evaluate` needs rows that are not trained on: give `evalFile`, or `eval` with `dataset`.');

  const names = new Set(Object.keys(training).map((name) => TRAIN_OPTION_ALIASES[name] ?? name));
  const resolved = resolveTrainOptions(training, onNote) as Settings['training'];
  return { ...run, training: resolved, shuffleSeed: names.has('seed') ? resolved.seed : 40 };
}

export const hasEvalRows = ({ dataset, evalFile, eval: rows }: ValuesOf<typeof RUN_OPTIONS>): boolean =>
  dataset === null ? evalFile !== null : rows > 0;

function refuseUnknown(names: readonly string[]): void {
  const known = [...Object.keys(RUN_OPTIONS), ...KNOWN_OPTION_NAMES];
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new InputError(`Unknown option '${unknown}'; ${didYouMean(unknown, known, 'see the list of options')}`);
}

const refused = (name: string, value: unknown, expected: string) =>
  new InputError(`\`${name}\` is ${value === undefined ? 'missing' : shown(value)}; expected ${expected}.`);
