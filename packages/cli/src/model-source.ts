/** What every command that needs a model does with --model: find its folder, load weights, tokenizer and template. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { choice, InputError, integer, type Option, required } from '@gemmatune/base';
import {
  countDevices,
  type DeviceDescription,
  type DeviceSpec,
  type DTypeName,
  devices,
  EngineError,
  Model,
  type ModelConfig,
  type ModelOptions,
  parseDevice,
  parseModelConfig,
  systemInfo,
} from '@gemmatune/engine';
import { resolveModel } from '@gemmatune/hub';
import { ChatTemplate } from '@gemmatune/template';
import { Tokenizer } from '@gemmatune/tokenizer';
import type { Context } from './command.js';
import { type Progress, withProgress } from './terminal/progress.js';

export const modelOption = required(
  'A folder in the Hugging Face layout, a Hub id such as google/functiongemma-270m-it, or kaggle:….',
  'a model folder or Hub id',
);

const deviceOption: Option<DeviceSpec> = {
  default: 'cpu',
  help: 'Where to compute (cpu, cuda, cuda:1, …; emulated runs GPU kernels on the CPU, for tests).',
  expected: 'cpu, cuda, cuda:1 (or another number) or emulated',
  accepts: (value): value is DeviceSpec => typeof value === 'string' && parseDevice(value) !== undefined,
};

export const DEVICE_OPTIONS = {
  device: deviceOption,
  dtype: choice('Type of weights in products; a GPU takes bfloat16', ['auto', 'float32', 'bfloat16'], 'auto'),
  threads: integer('CPU threads of a process; 0 = one per core, divided between the ranks of a machine.', 0, {
    min: 0,
  }),
};

export interface DeviceOptions {
  device: DeviceSpec;
  dtype: DTypeName | 'auto';
  threads: number;
}

/** The folder of a model, downloaded where need be. @param offline true: it must be there already */
export function modelFolder(spec: string, { stderr, signal }: Context, offline = false): Promise<string> {
  return withProgress(stderr, (progress) =>
    resolveModel(spec, {
      signal,
      onProgress: moved(progress, `Downloading ${spec}`),
      ...(offline && { offline }),
    }),
  );
}

/** Draws how far a transfer is. `total` is not always known. */
export function moved(progress: Progress, title: string) {
  return ({ file, loaded, total }: { file: string; loaded: number; total?: number }): void =>
    progress.update(title, total ? loaded / total : undefined, `${megabytes(loaded)} ${file}`);
}

export const megabytes = (bytes: number): string =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;

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

/** Loads the weights, and says where and in which type it computes unless the call said both. */
export async function loadModel(
  folder: string,
  { device, dtype, threads }: DeviceOptions,
  context: Context,
  more: Pick<ModelOptions, 'trainable' | 'masterWeights'> = {},
): Promise<Model> {
  const model = await Model.load(folder, { device, dtype, threads, ...more });
  const named = context.given.has('device');
  if (!named || dtype === 'auto') context.note(`Using ${placeOf(model)}, ${typeOf(model, dtype, more)}.`);
  if (!named && countDevices('cuda') > 0) context.note('There is a GPU here: --device cuda computes on it.');
  return model;
}

function placeOf({ device, deviceIndex }: Model): string {
  if (device === 'cpu') {
    const { instructionSet, cores } = systemInfo();
    return `cpu (${instructionSet}, ${cores} cores)`;
  }
  const gpu = devices(device).devices.find((each) => each.device === `${device}:${deviceIndex}`);
  return `${device}:${deviceIndex}${gpu ? ` (${describeGpu(gpu)})` : ''}`;
}

function typeOf(
  model: Model,
  dtype: DeviceOptions['dtype'],
  { trainable = false, masterWeights = true }: Pick<ModelOptions, 'trainable' | 'masterWeights'>,
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

/** Token ids of a prompt. Templates write <bos> themselves: it is not added a second time. */
export function encodePrompt(tokenizer: Tokenizer, text: string): Int32Array {
  return tokenizer.encode(text, { addSpecialTokens: !text.startsWith('<bos>') });
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
