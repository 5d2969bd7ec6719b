// What is tried: widest first. A trial is the data, how many of its rows, and options of `gemmatune finetune`; what is not named is at its default.

/** Options of `gemmatune evaluate` for all trials. */
export const EVALUATION = { n: 1000, 'max-new-tokens': 96 };

const common = {
  perDeviceTrainBatchSize: 8,
  lrSchedulerType: 'linear',
  warmupRatio: 0.1,
  weightDecay: 0,
  maxLength: 1024,
  loss: 'completion',
  format: 'native',
  seed: 1,
};
const trial = (data, rows, learningRate, numTrainEpochs, more = {}) => ({
  data,
  rows,
  learningRate,
  numTrainEpochs,
  ...common,
  ...more,
});

export const STAGES = {
  rate: [
    trial('hermes', 100, 1e-4, 5),
    trial('hermes', 100, 3e-4, 5),
    trial('hermes', 100, 3e-5, 5),
    trial('hermes', 30, 1e-4, 10),
    trial('hermes', 30, 3e-4, 10),
    trial('hermes', 30, 3e-5, 10),
  ],
};
