/** What everything that needs a model does: judge the device, load weights, tokenizer and template. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { counted, InputError } from '@gemmatune/base';
import {
  type DeviceDescription,
  type DeviceSpec,
  devices,
  EngineError,
  type Model,
  type ModelConfig,
  type ModelOptions,
  parseDevice,
  parseModelConfig,
  systemInfo,
} from '@gemmatune/engine';
import { ChatTemplate } from '@gemmatune/template';
import { Tokenizer } from '@gemmatune/tokenizer';
import type { DeviceOptions } from './options.js';

/** @throws EngineError with the reason where the device cannot be used: before downloads and other long work */
export function checkDevice(spec: DeviceSpec): void {
  const { device, index } = parseDevice(spec)!;
  if (device === 'cpu') return;
  const { devices: usable, problem } = devices(device);
  if (usable.some((each) => each.device === `${device}:${index}`)) return;
  const all = usable.map((each) => each.device).join(', ');
  throw new EngineError(
    'ERR_GEMMATUNE_DEVICE',
    problem ?? `there is no device ${device}:${index}; there are: ${all} (gemmatune doctor tells about them)`,
  );
}

type Training = Pick<ModelOptions, 'trainable' | 'masterWeights'>;

/** Where and in which type a model computes: `cpu (avx2, 2 cores), float32 (this CPU has no bfloat16 instructions)`. */
export function describeModel(model: Model, { dtype }: Pick<DeviceOptions, 'dtype'>, training: Training = {}): string {
  return `${placeOf(model)}, ${typeOf(model, dtype, training)}`;
}

function placeOf({ device, deviceIndex }: Model): string {
  if (device === 'cpu') {
    const { instructionSet, cores } = systemInfo();
    return `cpu (${instructionSet}, ${counted(cores, 'core')})`;
  }
  const gpu = devices(device).devices.find((each) => each.device === `${device}:${deviceIndex}`);
  return `${device}:${deviceIndex}${gpu ? ` (${describeGpu(gpu)})` : ''}`;
}

function typeOf(
  model: Model,
  dtype: DeviceOptions['dtype'],
  { trainable = false, masterWeights = true }: Training,
): string {
  if (trainable && !masterWeights) return `${model.dtype} without float32 master weights`;
  const masters = trainable && model.dtype === 'bfloat16' ? ' with float32 master weights' : '';
  if (dtype !== 'auto' || model.device !== 'cpu') return `${model.dtype}${masters}`;
  const why = systemInfo().fastBfloat16 ? 'multiplies bfloat16 in hardware' : 'has no bfloat16 instructions';
  return `${model.dtype}${masters} (this CPU ${why})`;
}

export function describeGpu({ name, computeCapability, path }: DeviceDescription): string {
  return `${name}, compute capability ${computeCapability}, kernels ${path}`;
}

/** Tokenizer and chat template of a model folder, each read when first needed: rows of token ids need neither. */
export class ModelText {
  readonly folder: string;
  #tokenizer: Promise<Tokenizer> | undefined;
  #template: Promise<ChatTemplate> | undefined;

  constructor(folder: string) {
    this.folder = folder;
  }

  tokenizer(): Promise<Tokenizer> {
    this.#tokenizer ??= Tokenizer.load(this.folder);
    return this.#tokenizer;
  }

  template(): Promise<ChatTemplate> {
    this.#template ??= ChatTemplate.fromModelFolder(this.folder);
    return this.#template;
  }

  async hasTokenizer(): Promise<boolean> {
    const found = ['tokenizer.json', 'tokenizer.json.gz'].map((name) =>
      stat(join(this.folder, name)).catch(() => null),
    );
    return (await Promise.all(found)).some((file) => file !== null);
  }
}

/** The configuration of a model folder. @throws EngineError naming the file and the field */
export async function readModelConfig(folder: string): Promise<{ config: ModelConfig; json: Record<string, unknown> }> {
  const path = join(folder, 'config.json');
  const text = await readFile(path, 'utf8');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new InputError(`${path}: ${(error as Error).message}, expected JSON.`);
  }
  return { config: parseModelConfig(json, path), json: json as Record<string, unknown> };
}

/** @throws InputError where an id is not in the model's vocabulary */
export function checkIds(ids: readonly number[], vocabSize: number, where: string): void {
  const wrong = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (wrong >= 0)
    throw new InputError(
      `${where}[${wrong}]: found ${ids[wrong]}, expected an id from 0 to ${vocabSize - 1} (vocab_size).`,
    );
}
