/** What every command that needs a model does with --model: find its folder, load weights, tokenizer and template. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type DeviceName,
  type DTypeName,
  Model,
  type ModelConfig,
  type ModelOptions,
  parseModelConfig,
  systemInfo,
} from '@gemmatune/engine';
import { resolveModel } from '@gemmatune/hub';
import { InputError } from '@gemmatune/schema';
import { ChatTemplate } from '@gemmatune/template';
import { Tokenizer } from '@gemmatune/tokenizer';
import type { Context } from './command.js';
import { count, oneOf, required } from './options.js';
import { type Progress, withProgress } from './terminal/progress.js';

export const modelOption = required(
  'A folder in the Hugging Face layout, a Hub id such as google/functiongemma-270m-it, or kaggle:….',
  'a model folder or Hub id',
);

export const DEVICE_OPTIONS = {
  device: oneOf(['auto', 'cpu', 'cuda', 'emulated'], 'auto', 'Where to compute'),
  dtype: oneOf(['auto', 'float32', 'bfloat16'], 'auto', 'Type of weights in products'),
  threads: count('CPU threads; 0 = one per core.', 0),
};

export interface DeviceOptions {
  device: DeviceName | 'auto';
  dtype: DTypeName | 'auto';
  threads: number;
}

/** The folder of a model, downloaded where need be. */
export function modelFolder(spec: string, { stderr, signal }: Context): Promise<string> {
  return withProgress(stderr, (progress) =>
    resolveModel(spec, { signal, onProgress: moved(progress, `Downloading ${spec}`) }),
  );
}

/** Draws how far a transfer is. `total` is not always known. */
export function moved(progress: Progress, title: string) {
  return ({ file, loaded, total }: { file: string; loaded: number; total?: number }): void =>
    progress.update(title, total ? loaded / total : undefined, `${megabytes(loaded)} ${file}`);
}

export const megabytes = (bytes: number): string =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;

/** Loads the weights, and says what `auto` chose and why. */
export async function loadModel(
  folder: string,
  { device, dtype, threads }: DeviceOptions,
  context: Context,
  more: Pick<ModelOptions, 'trainable' | 'gradientCheckpointing'> = {},
): Promise<Model> {
  const model = await Model.load(folder, { device, dtype, threads, ...more });
  if (device === 'auto' || dtype === 'auto') context.note(`Using ${chosen(model, device, dtype)}.`);
  return model;
}

function chosen(model: Model, device: string, dtype: string): string {
  const { backends, fastBfloat16, instructionSet, cores } = systemInfo();
  const where =
    device !== 'auto'
      ? model.device
      : `${model.device} (${backends.includes('cuda') ? 'asked for by auto' : 'this build has no cuda backend'}; ${instructionSet}, ${cores} cores)`;
  const type =
    dtype !== 'auto'
      ? model.dtype
      : `${model.dtype} (this CPU ${fastBfloat16 ? 'multiplies bfloat16 in hardware' : 'has no bfloat16 instructions'})`;
  return `${where}, ${type}`;
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
