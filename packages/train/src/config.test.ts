import type { ValuesOf } from '@gemmatune/base';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { resolveTrainOptions, TRAIN_OPTION_ALIASES, type TRAIN_OPTIONS, type TrainOptions } from './config.js';

const message = (input: unknown): string => {
  try {
    resolveTrainOptions(input);
  } catch (error) {
    expect((error as { code: string }).code).toBe('ERR_GEMMATUNE_ARGUMENT');
    return (error as Error).message;
  }
  throw new Error('was accepted');
};

it('the interface of options says the same as their table', () => {
  expectTypeOf<TrainOptions>().toEqualTypeOf<ValuesOf<typeof TRAIN_OPTIONS>>();
});

describe('resolveTrainOptions', () => {
  it("has SFTConfig's defaults, but for what the number of rows decides unless compat is 'trl'", () => {
    const decided = {
      numTrainEpochs: 3,
      perDeviceTrainBatchSize: 8,
      learningRate: 2e-5,
      lrSchedulerType: 'linear',
      warmupRatio: 0,
    };
    expect(resolveTrainOptions({ compat: 'trl' })).toMatchObject({ ...decided, evalStrategy: 'no' });
    const open = Object.fromEntries(Object.keys(decided).map((name) => [name, null]));
    expect(resolveTrainOptions({})).toMatchObject({
      ...open,
      maxSteps: -1,
      gradientAccumulationSteps: 1,
      weightDecay: 0,
      maxGradNorm: 1,
      adamBeta1: 0.9,
      adamBeta2: 0.999,
      adamEpsilon: 1e-8,
      loggingSteps: 10,
      evalStrategy: null,
      saveStrategy: 'steps',
      saveSteps: 500,
      saveTotalLimit: null,
      seed: 42,
      maxLength: 1024,
    });
  });

  it('takes the names of a TRL configuration, old and new', () => {
    const notes: string[] = [];
    const options = resolveTrainOptions(
      {
        output_dir: 'out',
        max_seq_length: 512,
        packing: false,
        num_train_epochs: 1,
        per_device_train_batch_size: 2,
        per_device_eval_batch_size: 2,
        gradient_accumulation_steps: 8,
        gradient_checkpointing: true,
        optim: 'adamw_torch_fused',
        logging_steps: 5,
        evaluation_strategy: 'steps',
        eval_steps: 50,
        save_strategy: 'steps',
        learning_rate: 5e-5,
        bf16: true,
        max_grad_norm: 0.3,
        warmup_ratio: 0.03,
        lr_scheduler_type: 'cosine',
        adam_beta2: 0.95,
        report_to: 'none',
        completion_only_loss: true,
        seed: 40,
      },
      (note) => notes.push(note),
    );
    expect(options).toMatchObject({
      outputDir: 'out',
      maxLength: 512,
      numTrainEpochs: 1,
      perDeviceTrainBatchSize: 2,
      gradientAccumulationSteps: 8,
      gradientCheckpointing: true,
      evalStrategy: 'steps',
      evalSteps: 50,
      maxGradNorm: 0.3,
      warmupRatio: 0.03,
      lrSchedulerType: 'cosine',
      adamBeta2: 0.95,
      loss: 'completion',
      seed: 40,
    });
    expect(notes).toEqual([
      "`bf16` has no effect here: the model's dtype decides.",
      '`report_to` has no effect here: events and trainer_state.json carry every number.',
    ]);
  });

  it("takes gradient_checkpointing as TRL's name for recompute 'blocks'", () => {
    const recompute = (input: unknown) => resolveTrainOptions(input).recompute;
    expect(recompute({})).toBeNull();
    expect(recompute({ gradient_checkpointing: false })).toBeNull();
    expect(recompute({ gradient_checkpointing: true })).toBe('blocks');
    expect(recompute({ gradientCheckpointing: true, recompute: 'blocks' })).toBe('blocks');
    expect(recompute({ gradient_checkpointing: false, recompute: 'elementwise' })).toBe('elementwise');
  });

  it('has an alias in snake_case for every option', () => {
    expect(TRAIN_OPTION_ALIASES).toMatchObject({
      adam_beta1: 'adamBeta1',
      load_best_model_at_end: 'loadBestModelAtEnd',
    });
  });

  it('can be given its own result', () => {
    const once = resolveTrainOptions({ evalSteps: 5, outputDir: 'x', loadBestModelAtEnd: true });
    expect(once).toMatchObject({ evalStrategy: 'steps', metricForBestModel: 'loss', greaterIsBetter: false });
    expect(resolveTrainOptions(once)).toEqual(once);
  });

  it('knows what is better', () => {
    const better = (metricForBestModel: string) =>
      resolveTrainOptions({ evalSteps: 1, metricForBestModel }).greaterIsBetter;
    expect(better('eval_loss')).toBe(false);
    expect(better('mean_token_accuracy')).toBe(true);
  });

  it.each([
    [{ learning_rte: 1 }, "Unknown option 'learning_rte'; did you mean 'learningRate'?"],
    [{ gradientAccumulation: 1 }, "Unknown option 'gradientAccumulation'; did you mean 'gradientAccumulationSteps'?"],
    [{ maxstep: 1 }, "Unknown option 'maxstep'; did you mean 'maxSteps'?"],
    [{ frobnicate: 1 }, "Unknown option 'frobnicate'; see the list of options"],
    [{ toString: 1 }, "Unknown option 'toString'; see the list of options"],
    [{ learning_rate: '5e-5' }, "`learning_rate` is '5e-5'; expected a number of at least 0."],
    [{ learningRate: Number.NaN }, '`learningRate` is NaN; expected a number of at least 0.'],
    [{ perDeviceTrainBatchSize: 0 }, '`perDeviceTrainBatchSize` is 0; expected an integer of at least 1.'],
    [{ maxSteps: 2.5 }, '`maxSteps` is 2.5; expected an integer of at least -1.'],
    [{ maxSteps: 0 }, '`maxSteps` is 0; expected -1 or an integer of at least 1.'],
    [{ adamBeta1: 1 }, '`adamBeta1` is 1; expected a number of at least 0 and below 1.'],
    [
      { loggingSteps: 0 },
      '`loggingSteps` is 0; expected an integer of at least 1, or a share of all steps between 0 and 1.',
    ],
    [
      { loggingSteps: 1.5 },
      '`loggingSteps` is 1.5; expected an integer of at least 1, or a share of all steps between 0 and 1.',
    ],
    [{ warmupRatio: 1.5 }, '`warmupRatio` is 1.5; expected a number of at least 0 and of at most 1.'],
    [{ warmupSteps: 2.5 }, '`warmupSteps` is 2.5; expected a whole number, or a share below 1.'],
    [
      { lrSchedulerType: 'polynomial' },
      "`lrSchedulerType` is 'polynomial'; expected 'constant' or 'constant_with_warmup' or 'linear' or 'cosine'.",
    ],
    [{ overwrite: 'yes' }, "`overwrite` is 'yes'; expected true or false."],
    [{ compat: 'hf' }, "`compat` is 'hf'; expected 'trl'."],
    [{ recompute: 'all' }, "`recompute` is 'all'; expected 'none' or 'elementwise' or 'blocks'."],
    [
      { recompute: 'none', gradient_checkpointing: true },
      "`gradientCheckpointing` recomputes whole blocks, but `recompute` is 'none'; expected 'blocks', or only one of the two options.",
    ],
    [
      { optim: 'adafactor' },
      "`optim` is 'adafactor'; expected 'adamw_torch_fused' or 'adamw_torch' or 'adamw_hf' or 'adamw'.",
    ],
    [
      { maxLength: 5, max_seq_length: 6 },
      '`maxLength` and `max_seq_length` are the same option (`maxLength`); expected only one of them.',
    ],
    [{ resume: true }, '`resume` needs the `outputDir` that holds the checkpoints.'],
    [
      { loadBestModelAtEnd: true, outputDir: 'x', evalStrategy: 'no' },
      "The best model can only be found by evaluating, but `evalStrategy` is 'no'; set `evalSteps`, or `evalStrategy` to 'epoch'.",
    ],
    [
      { loadBestModelAtEnd: true, outputDir: 'x', evalSteps: 2, saveSteps: 3, compat: 'trl' },
      "`loadBestModelAtEnd` with `compat` 'trl' needs `saveSteps` to be a multiple of `evalSteps`, but they are 3 and 2.",
    ],
    [[], '`options` is []; expected an object of options.'],
    [null, '`options` is null; expected an object of options.'],
  ])('refuses %j', (input, expected) => {
    expect(message(input)).toBe(expected);
  });
});
