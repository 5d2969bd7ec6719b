// What is tried: widest first. A trial is the data, how many of its rows, and options of `gemmatune finetune`; what is not named is at its default.

/** Options of `gemmatune evaluate` for all trials. */
export const EVALUATION = { n: 1000, maxNewTokens: 96, dtype: 'float32' };

/** How often a trial is looked at: the loss of the evaluation rows, and calls for them. */
export const LOSSES = 3;

/** What all trials have but where they say otherwise. */
export const COMMON = {
  perDeviceTrainBatchSize: 8,
  lrSchedulerType: 'linear',
  warmupRatio: 0.1,
  weightDecay: 0,
  maxLength: 1024,
  loss: 'completion',
  format: 'native',
  dtype: 'float32',
  seed: 1,
};
/** @typedef {ReturnType<typeof trial>} Trial */

/**
 * @param {string} data
 * @param {number} rows
 * @param {number} learningRate
 * @param {number} numTrainEpochs
 * @param {Partial<typeof COMMON>} more
 */
const trial = (data, rows, learningRate, numTrainEpochs, more = {}) => ({
  data,
  rows,
  learningRate,
  numTrainEpochs,
  ...COMMON,
  ...more,
});

export const STAGES = {
  rate: [
    trial('hermes', 30, 1e-4, 10),
    trial('concierge', 30, 1e-4, 10),
    trial('hermes', 100, 1e-4, 5),
    trial('hermes', 30, 3e-4, 10),
    trial('hermes', 30, 3e-5, 10),
    trial('hermes', 439, 1e-4, 2),
    trial('hermes', 100, 3e-5, 5),
    trial('concierge', 30, 3e-5, 10),
    trial('concierge', 100, 1e-4, 5),
    trial('hermes', 439, 3e-5, 2),
    trial('concierge', 300, 1e-4, 2),
    trial('hermes', 100, 3e-4, 5),
  ],
};
