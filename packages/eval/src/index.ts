/** Tool-call evaluation: generate, parse, score, compare. */
export { characterErrors } from './cer.js';
export { type Comparison, compare } from './compare.js';
export {
  type EvaluateOptions,
  type Evaluation,
  evaluate,
  type Generates,
  judge,
  promptOf,
  STOP_TOKENS,
  score,
  stopIds,
} from './evaluate.js';
export { METRICS, type Metric } from './metrics/index.js';
export { firstBlock, type Prediction, tutorialName } from './prediction.js';
