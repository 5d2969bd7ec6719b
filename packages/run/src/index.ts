/** A whole fine-tuning run, and its parts: `finetune(options)` tells what it does as events; nothing here prints. */
export { evaluateOnRanks, type FlatScores, flat } from './evaluate.js';
export { byRowsText, encodedLines, eventLines, notAskedLine, planText, preparedLines, some } from './event-lines.js';
export type { BeginEvent, ByRowsEvent, FinetuneEvent, FinetuneResult, When } from './events.js';
export { type FinetuneContext, finetune } from './finetune.js';
export {
  type LintReport,
  lintableRows,
  lintRows,
  PROBLEMS,
  rowKey,
} from './lint.js';
export { trainingMemory } from './memory.js';
export { checkDevice, checkIds, describeGpu, describeModel, ModelText, readModelConfig } from './model.js';
export {
  DEVICE_OPTIONS,
  type DeviceOptions,
  FINETUNE_OPTIONS,
  type FinetuneOptions,
  formatOption,
  modelOption,
} from './options.js';
export { type Questions, questionsOption, readQuestions } from './questions.js';
export type { RunRanks } from './ranks.js';
export { cardOf, readRunRecord } from './record.js';
export { duration, megabytes, ratio } from './report/numbers.js';
export { seriesOf } from './report/page.js';
export { encodedRows, encodeOptions } from './rows.js';
