// The tutorial's job, by whom and how. A run is options of `gemmatune finetune`, or a precision of trl.py.

/** The tutorial's settings; its rows are those of prepare --seed 40 --take 1000 --eval 100. */
const TUTORIAL = {
  format: 'tutorial',
  loss: 'full',
  maxLength: 512,
  perDeviceTrainBatchSize: 2,
  gradientAccumulationSteps: 8,
  perDeviceEvalBatchSize: 2,
  numTrainEpochs: 1,
  learningRate: 5e-5,
  lrSchedulerType: 'cosine',
  warmupSteps: 0.03,
  evalSteps: 10,
  evalStrategy: 'steps',
  loggingSteps: 1,
  seed: 42,
};

export const RUNS = {
  tutorial: { title: 'gemmatune', gemmatune: { ...TUTORIAL, compat: 'trl' } },
  'tutorial-bf16': {
    title: 'gemmatune, pure bfloat16',
    gemmatune: { ...TUTORIAL, compat: 'trl', masterWeights: false },
  },
  'trl-amp': { title: 'TRL', trl: 'amp' },
  'trl-bf16': { title: 'TRL, pure bfloat16', trl: 'bf16' },
  // What we recommend: FunctionGemma's own format, the call alone is learnt; the rest follows from the number of rows.
  recommended: {
    title: 'gemmatune, as recommended',
    gemmatune: { format: 'native', loss: 'completion', loggingSteps: 1 },
  },
  // The tutorial's settings but for those two.
  native: {
    title: 'gemmatune, native format, completion loss',
    gemmatune: { ...TUTORIAL, format: 'native', loss: 'completion' },
  },
};

/** Most tokens of a call, before and after training, as in the tutorial. */
export const MAX_NEW_TOKENS = { before: 128, after: 64 };
