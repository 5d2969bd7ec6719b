// The model that is measured: a given folder, or random weights of the 270M shape, made once and kept.
import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Model, parseModelConfig } from '@gemmatune/engine';

export const CACHE = fileURLToPath(new URL('../.cache', import.meta.url));

/** Gemma 3 270M. Speed does not depend on the weights' values. */
export const CONFIG_270M = parseModelConfig(
  {
    model_type: 'gemma3_text',
    vocab_size: 262144,
    hidden_size: 640,
    num_hidden_layers: 18,
    num_attention_heads: 4,
    num_key_value_heads: 1,
    head_dim: 256,
    intermediate_size: 2048,
    sliding_window: 512,
    sliding_window_pattern: 6,
    query_pre_attn_scalar: 256,
    max_position_embeddings: 32768,
    bos_token_id: 2,
    eos_token_id: 1,
    pad_token_id: 0,
  },
  'the 270M shape',
);

/**
 * @param {string} given a model folder, or '' for random float32 weights of the 270M shape (1.1 GB, made on the first call)
 * @param {(line: string) => void} [note] hears that the model is being made
 * @returns {Promise<string>} a model folder
 */
export async function modelFolder(given, note = () => {}) {
  if (given !== '') return given;
  const folder = join(CACHE, 'model-270m');
  if (await stat(folder).catch(() => undefined)) return folder;
  note('making random weights of the 270M shape (once) …');
  await mkdir(CACHE, { recursive: true });
  const beside = `${folder}.${process.pid}`;
  const model = await Model.create(CONFIG_270M, { dtype: 'float32', seed: 1 });
  try {
    await model.save(beside);
    // Another run may have been first: its weights are the same.
    await rename(beside, folder).catch((error) => {
      if (!['ENOTEMPTY', 'EEXIST'].includes(error.code)) throw error;
    });
  } finally {
    await model.dispose();
    await rm(beside, { recursive: true, force: true });
  }
  return folder;
}

/**
 * @param {string} folder a model folder, or '' for the 270M shape
 * @returns {Promise<import('@gemmatune/engine').ModelConfig>}
 */
export async function modelConfig(folder) {
  if (folder === '') return CONFIG_270M;
  const path = join(folder, 'config.json');
  return parseModelConfig(JSON.parse(await readFile(path, 'utf8')), path);
}

/** The same shape with the first `layers` layers and another vocabulary; 0 leaves either as it is. */
export function reducedConfig(config, layers, vocabSize) {
  return {
    ...config,
    numLayers: layers || config.numLayers,
    layerTypes: config.layerTypes.slice(0, layers || config.numLayers),
    vocabSize: vocabSize || config.vocabSize,
  };
}
