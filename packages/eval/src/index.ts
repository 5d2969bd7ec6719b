/** Tool-call evaluation: questions of rows, answers generated, judged by every metric, compared. */
export { firstBlock, tutorialName } from './call-block.js';
export { characterErrors } from './cer.js';
export { type Comparison, compare, type KnownScores } from './compare.js';
export {
  answers,
  type EvaluateOptions,
  type Evaluation,
  encodePrompt,
  evaluate,
  type Generates,
  STOP_TOKENS,
  scored,
  stopIds,
} from './evaluate.js';
export { METRICS, type Metric, type MetricName, type Part } from './metrics/index.js';
export { judge, type Prediction } from './prediction.js';
export { type Question, questionOf } from './question.js';
export { type Scores, score } from './score.js';
