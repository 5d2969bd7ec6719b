/** The typed door to the native core: load a model, score, train, generate, save. */
export type {
  Batch,
  BatchMetrics,
  DeviceName,
  DTypeName,
  GenerateOptions,
  GroupOptions,
  OpTime,
  ParameterInfo,
  Part,
  Recompute,
  SharingOptions,
  Traffic,
  Update,
} from './addon.js';
export { type ModelConfig, parseModelConfig } from './config.js';
export { countDevices, type DeviceDescription, type DeviceSpec, devices, type GpuName, parseDevice } from './device.js';
export { EngineError, ERROR_CODES, type ErrorCode } from './errors.js';
export { Group } from './group.js';
export { type GenerateRequest, Model, type ModelOptions, type PassMemory } from './model.js';
export { systemInfo } from './native.js';
export { readModelTensors, type TensorEntry, textTensors } from './safetensors.js';
