/** The raw addon under test, below the typed door: what a caller with no types could do to it. */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
/** For child processes and workers, which load it by themselves. */
export const ADDON = require.resolve('gemmatune-native');

// biome-ignore lint/suspicious/noExplicitAny: these tests pass what no type allows.
export const addon: any = require(ADDON);

/** A small model's constructor arguments; every call makes new objects, to be spoilt at will. */
export const config = () => ({
  vocabSize: 64,
  hiddenSize: 32,
  numLayers: 2,
  numHeads: 2,
  numKvHeads: 1,
  headDim: 16,
  intermediateSize: 48,
  slidingWindow: 8,
  fullAttention: Uint8Array.of(0, 1),
  ropeTheta: 1e6,
  ropeLocalTheta: 1e4,
  ropeFactor: 1,
  rmsNormEps: 1e-6,
  queryPreAttnScalar: 16,
  maxPositionEmbeddings: 4096,
});
export const options = () => ({
  dtype: 'float32',
  device: 'cpu',
  deviceIndex: 0,
  threads: 1,
  trainable: true,
  masterWeights: true,
  recompute: 'none',
});

export const group = () => ({
  rank: 0,
  size: 1,
  address: 'unix:/nowhere/socket',
  run: '',
  description: '',
  joinTimeout: 1,
  rankTimeout: 1,
});
export const sharing = () => ({ collectives: 'auto', wire: 'float32', sharded: true });
export const batch = () => ({
  tokens: Int32Array.of(2, 5, 6, 7, 8),
  targets: Int32Array.of(5, 6, 7, 8, -100),
  starts: Int32Array.of(0, 3, 5),
});
export const update = () => ({
  learningRate: 1e-3,
  step: 1,
  divisor: 4,
  maxGradNorm: 1,
  weightDecay: 0,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  seed: 0,
});
export const generateOptions = () => ({
  maxNewTokens: 3,
  stopIds: new Int32Array(),
  temperature: 0,
  topK: 0,
  topP: 1,
  seed: 0,
  batchSize: 2,
});
