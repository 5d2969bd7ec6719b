import { isObject } from '@gemmatune/base';
import type { NativeConfig } from './addon.js';
import { EngineError } from './errors.js';

/** A Gemma 3 text configuration, read from config.json (old and new field names). */
export interface ModelConfig extends Omit<NativeConfig, 'fullAttention'> {
  layerTypes: readonly ('sliding_attention' | 'full_attention')[];
  bosTokenId: number | null;
  padTokenId: number | null;
  /** Ids that end a generation: generation_config.json's where present, else config.json's. */
  eosTokenIds: readonly number[];
}

type Fields = Record<string, unknown>;

/** Reads fields of one JSON object; every refusal names the file and the field, what was found and what was expected. */
class Reader {
  constructor(
    readonly fields: Fields,
    readonly where: string,
  ) {}

  fail(field: string, expected: string): never {
    const found = field in this.fields ? JSON.stringify(this.fields[field]) : 'missing';
    throw new EngineError('ERR_GEMMATUNE_ARGUMENT', `${this.where}: ${field} is ${found}, expected ${expected}`);
  }

  positive(field: string, fallback?: number): number {
    const v = this.fields[field] ?? fallback;
    if (typeof v !== 'number' || !Number.isFinite(v) || v <= 0) this.fail(field, 'a positive number');
    return v;
  }

  integer(field: string, fallback?: number): number {
    const v = this.positive(field, fallback);
    if (!Number.isInteger(v)) this.fail(field, 'a positive integer');
    return v;
  }

  id(field: string): number | null {
    const v = this.fields[field] ?? null;
    if (v !== null && (typeof v !== 'number' || !Number.isInteger(v) || v < 0)) this.fail(field, 'a token id or null');
    return v;
  }

  ids(field: string): number[] | undefined {
    const v = this.fields[field];
    if (v === undefined || v === null) return undefined;
    const list: unknown[] = Array.isArray(v) ? v : [v];
    if (!list.every((x): x is number => typeof x === 'number' && Number.isInteger(x) && x >= 0))
      this.fail(field, 'a token id or a list of token ids');
    return list;
  }

  /** A field that may only have the value this program computes with. */
  only(field: string, ...allowed: unknown[]): void {
    const v = this.fields[field] ?? null;
    if (v !== null && !allowed.includes(v)) this.fail(field, allowed.map((a) => JSON.stringify(a)).join(' or '));
  }
}

/** Layer kinds: listed (new), or every n-th layer full (old: sliding_window_pattern, 6 where absent). */
function layerTypes(r: Reader, numLayers: number): ModelConfig['layerTypes'] {
  const listed = r.fields['layer_types'];
  if (listed === undefined || listed === null) {
    const field = 'sliding_window_pattern' in r.fields ? 'sliding_window_pattern' : '_sliding_window_pattern';
    const pattern = r.integer(field, 6);
    return Array.from({ length: numLayers }, (_, i) =>
      (i + 1) % pattern === 0 ? 'full_attention' : 'sliding_attention',
    );
  }
  const known = (t: unknown): t is ModelConfig['layerTypes'][number] =>
    t === 'sliding_attention' || t === 'full_attention';
  if (!Array.isArray(listed) || !listed.every(known))
    r.fail('layer_types', 'a list of "sliding_attention" and "full_attention"');
  if (listed.length !== numLayers) r.fail('layer_types', `${numLayers} entries (num_hidden_layers)`);
  return listed;
}

/** Rope bases and factor: rope_parameters by layer kind (new), or rope_theta, rope_local_base_freq and rope_scaling (old). */
function rope(r: Reader): Pick<ModelConfig, 'ropeTheta' | 'ropeLocalTheta' | 'ropeFactor'> {
  const scaling = (s: Reader): number => {
    const kind = s.fields['rope_type'] ?? s.fields['type'] ?? 'default';
    if (kind === 'default') return 1;
    if (kind !== 'linear') s.fail('rope_type' in s.fields ? 'rope_type' : 'type', '"default" or "linear"');
    return s.positive('factor');
  };
  const parameters = r.fields['rope_parameters'];
  if (isObject(parameters) && (isObject(parameters['full_attention']) || isObject(parameters['sliding_attention']))) {
    const part = (kind: string): Reader => {
      const fields = parameters[kind];
      if (!isObject(fields)) return r.fail('rope_parameters', 'objects full_attention and sliding_attention');
      return new Reader(fields, `${r.where}: rope_parameters.${kind}`);
    };
    const full = part('full_attention');
    const local = part('sliding_attention');
    if (scaling(local) !== 1) local.fail('rope_type', '"default"');
    return {
      ropeTheta: full.positive('rope_theta', 1e6),
      ropeLocalTheta: local.positive('rope_theta', 1e4),
      ropeFactor: scaling(full),
    };
  }
  const old = r.fields['rope_scaling'];
  return {
    ropeTheta: r.positive('rope_theta', 1e6),
    ropeLocalTheta: r.positive('rope_local_base_freq', 1e4),
    ropeFactor: isObject(old) ? scaling(new Reader(old, `${r.where}: rope_scaling`)) : 1,
  };
}

/**
 * Judges the content of config.json (and generation_config.json, if there is one). `where` names the file in errors. A
 * multimodal Gemma 3 config is read through its text_config.
 */
export function parseModelConfig(config: unknown, where: string, generationConfig?: unknown): ModelConfig {
  if (!isObject(config)) throw new EngineError('ERR_GEMMATUNE_ARGUMENT', `${where}: expected a JSON object`);
  const top: Reader = new Reader(config, where);
  top.only('model_type', 'gemma3_text', 'gemma3');
  if (!('model_type' in config)) top.fail('model_type', '"gemma3_text"');
  const text = config['model_type'] === 'gemma3' ? config['text_config'] : config;
  if (!isObject(text)) top.fail('text_config', 'an object');
  const r: Reader = new Reader(text, text === config ? where : `${where}: text_config`);

  // What this program computes; another value would silently give wrong numbers.
  r.only('hidden_activation', 'gelu_pytorch_tanh');
  r.only('tie_word_embeddings', true);
  r.only('attention_bias', false);
  r.only('attn_logit_softcapping');
  r.only('final_logit_softcapping');
  r.only('use_bidirectional_attention', false);

  const numLayers = r.integer('num_hidden_layers');
  const numHeads = r.integer('num_attention_heads');
  const numKvHeads = r.integer('num_key_value_heads', numHeads);
  if (numHeads % numKvHeads !== 0) r.fail('num_attention_heads', `a multiple of num_key_value_heads (${numKvHeads})`);
  const headDim = r.integer('head_dim', 256);
  if (headDim % 2 !== 0) r.fail('head_dim', 'an even number');
  const generation = isObject(generationConfig)
    ? new Reader(generationConfig, where.replace(/[^/]*$/, 'generation_config.json'))
    : undefined;
  return {
    vocabSize: r.integer('vocab_size'),
    hiddenSize: r.integer('hidden_size'),
    numLayers,
    numHeads,
    numKvHeads,
    headDim,
    intermediateSize: r.integer('intermediate_size'),
    slidingWindow: r.integer('sliding_window', 4096),
    layerTypes: layerTypes(r, numLayers),
    ...rope(r),
    rmsNormEps: r.positive('rms_norm_eps', 1e-6),
    queryPreAttnScalar: r.positive('query_pre_attn_scalar', 256),
    maxPositionEmbeddings: r.integer('max_position_embeddings', 131072),
    bosTokenId: r.id('bos_token_id'),
    padTokenId: r.id('pad_token_id'),
    eosTokenIds: generation?.ids('eos_token_id') ?? r.ids('eos_token_id') ?? top.ids('eos_token_id') ?? [],
  };
}

/** The config.json of a model that was not loaded from a folder, in the field names of transformers 5. */
export function configJson(c: ModelConfig): Record<string, unknown> {
  const kind = c.ropeFactor === 1 ? { rope_type: 'default' } : { rope_type: 'linear', factor: c.ropeFactor };
  return {
    architectures: ['Gemma3ForCausalLM'],
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: c.bosTokenId,
    eos_token_id: c.eosTokenIds.length === 1 ? c.eosTokenIds[0] : c.eosTokenIds,
    head_dim: c.headDim,
    hidden_activation: 'gelu_pytorch_tanh',
    hidden_size: c.hiddenSize,
    initializer_range: 0.02,
    intermediate_size: c.intermediateSize,
    layer_types: c.layerTypes,
    max_position_embeddings: c.maxPositionEmbeddings,
    model_type: 'gemma3_text',
    num_attention_heads: c.numHeads,
    num_hidden_layers: c.numLayers,
    num_key_value_heads: c.numKvHeads,
    pad_token_id: c.padTokenId,
    query_pre_attn_scalar: c.queryPreAttnScalar,
    rms_norm_eps: c.rmsNormEps,
    rope_parameters: {
      full_attention: { rope_theta: c.ropeTheta, ...kind },
      sliding_attention: { rope_theta: c.ropeLocalTheta, rope_type: 'default' },
    },
    sliding_window: c.slidingWindow,
    tie_word_embeddings: true,
    use_cache: true,
    vocab_size: c.vocabSize,
  };
}
