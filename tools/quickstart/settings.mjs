/** Every number that decides what the quickstart's files hold. */

export const TOKENIZER = { seed: 1, rows: 8000, echoes: 20000 };

/** config.json of the base model: FunctionGemma's architecture, made tiny. */
export const MODEL = {
  model_type: 'gemma3_text',
  vocab_size: 3072,
  hidden_size: 128,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 32,
  intermediate_size: 512,
  // Attention logits reach 16 at first, as in the 270M model with its heads of 256: enough to pick one token among hundreds.
  query_pre_attn_scalar: 4,
  sliding_window: 512,
  layer_types: ['sliding_attention', 'sliding_attention', 'sliding_attention', 'full_attention'],
  max_position_embeddings: 2048,
  bos_token_id: 2,
  pad_token_id: 0,
  eos_token_id: [1, 50, 106],
};

export const PRETRAINING = {
  seed: 7,
  steps: 5000,
  batchSize: 8,
  echoSize: 16,
  learningRate: 3e-3,
  warmup: 50,
  dtype: 'bfloat16',
};

/** What `gemmatune quickstart` trains with. */
export const FINETUNE = {
  learningRate: 1e-3,
  lrSchedulerType: 'cosine',
  warmupRatio: 0.05,
  numTrainEpochs: 4,
  perDeviceTrainBatchSize: 8,
  gradientAccumulationSteps: 1,
  maxLength: 1024,
  loss: 'completion',
  seed: 42,
  loggingSteps: 10,
};
