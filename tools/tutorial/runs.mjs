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

const PLAIN = { ...TUTORIAL, compat: 'trl' };

/**
 * @typedef {object} Run
 * @property {string} title
 * @property {Record<string, unknown>} [gemmatune] by us: options of `gemmatune finetune`
 * @property {string} [trl] by TRL: its precision
 * @property {string} [baseline] the run whose calls of the base are this one's too
 */

/** @type {Record<string, Run>} */
export const RUNS = {
  float32: { title: 'gemmatune', gemmatune: { ...PLAIN, dtype: 'float32' } },
  'trl-float32': { title: 'TRL', trl: 'fp32' },
  // The tutorial's settings, but FunctionGemma's own format, and the call alone is learnt.
  native: {
    title: 'gemmatune, native format, loss on the call',
    gemmatune: { ...TUTORIAL, dtype: 'float32', format: 'native', loss: 'completion' },
  },
  // What we recommend: those two, and the rest follows from the number of rows.
  recommended: {
    title: 'gemmatune, as recommended',
    baseline: 'native',
    gemmatune: { dtype: 'float32', format: 'native', loss: 'completion', loggingSteps: 1 },
  },
  // float32 weights, products in bfloat16.
  bfloat16: { title: 'gemmatune, bfloat16 with masters', gemmatune: { ...PLAIN, dtype: 'bfloat16' } },
  'trl-bfloat16': { title: 'TRL, bfloat16 products', trl: 'amp', baseline: 'trl-float32' },
  pure: {
    title: 'gemmatune, pure bfloat16',
    baseline: 'bfloat16',
    gemmatune: { ...PLAIN, dtype: 'bfloat16', masterWeights: false },
  },
  'trl-pure': { title: 'TRL, pure bfloat16', trl: 'bf16', baseline: 'trl-float32' },
};

/** Most tokens of a call, before and after training, as in the tutorial. */
export const MAX_NEW_TOKENS = { before: 128, after: 64 };
