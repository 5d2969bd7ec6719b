/**
 * Fine-tuning of FunctionGemma for function calling, from Node: everything that programs may use, in one place.
 *
 *     import { finetune } from 'gemmatune';
 *     for await (const event of finetune({ model, train: 'train.jsonl', outputDir: 'out' })) ...
 */
export { GemmatuneError, InputError } from '@gemmatune/base';
export {
  type Encoded,
  type EncodedRow,
  type EncodeOptions,
  type EncodeReport,
  encodeRows,
  IGNORE,
  type Loss,
  type NumberedRow,
  type Prepared,
  type PrepareOptions,
  type PrepareReport,
  packBatch,
  prepare,
  readRows,
  readTrainingRows,
  writePrepared,
} from '@gemmatune/data';
export {
  type Batch,
  type BatchMetrics,
  type DeviceDescription,
  type DeviceName,
  type DeviceSpec,
  type DTypeName,
  devices,
  EngineError,
  type GenerateRequest,
  Model,
  type ModelConfig,
  type ModelOptions,
  parseModelConfig,
  type Recompute,
  systemInfo,
} from '@gemmatune/engine';
export {
  type Comparison,
  compare,
  type EvaluateOptions,
  type Evaluation,
  evaluate,
  judge,
  METRICS,
  type Metric,
  type Prediction,
  type Question,
  questionOf,
  stopIds,
} from '@gemmatune/eval';
export {
  HubError,
  type ModelCard,
  modelCard,
  type PullOptions,
  type PushOptions,
  pull,
  push,
  resolveDataset,
  resolveModel,
} from '@gemmatune/hub';
export {
  eventLines,
  FINETUNE_OPTIONS,
  type FinetuneContext,
  type FinetuneEvent,
  type FinetuneOptions,
  type FinetuneResult,
  finetune,
  ModelText,
  type Questions,
  type RunRanks,
  readQuestions,
} from '@gemmatune/run';
export {
  type FunctionCall,
  type Json,
  type JsonObject,
  type Message,
  parseExample,
  type Tool,
  type ToolRow,
  type TrainingRow,
} from '@gemmatune/schema';
export {
  ChatTemplate,
  parseCalls,
  renderSegments,
  renderToolRow,
  type Segment,
  type TargetFormat,
  TemplateError,
  templateWarnings,
} from '@gemmatune/template';
export { Tokenizer, TokenizerFormatError } from '@gemmatune/tokenizer';
export {
  type LogRow,
  type PassPlan,
  type RowSettings,
  type RunOptions,
  resolveTrainOptions,
  TRAIN_OPTIONS,
  TrainError,
  type TrainEvent,
  Trainer,
  type TrainerInput,
  type TrainOptions,
} from '@gemmatune/train';
