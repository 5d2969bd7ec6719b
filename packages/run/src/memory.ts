import type { ModelConfig } from '@gemmatune/engine';

/** What a model of this shape takes in training, in bytes. */
export interface TrainingMemory {
  /** Weights, gradients and both AdamW moments; in bfloat16 the weights' halves together are the float32 master. */
  state: number;
  /** For each token of a micro-batch. */
  activationsPerToken: number;
  activationsPerTokenWithCheckpointing: number;
}

/**
 * Predicts the memory of training on the CPU. 16 bytes a parameter of state (4 each of master weight, gradient and two moments). Activations
 * kept for backward, with C = hidden, D = head size, H and K = query and key heads, I = intermediate size, L = layers, b = bytes of
 * the dtype: a layer keeps b (2C + 2(H + K)D + 2I) + 4C + 4(2H + K + 4), every layer's input is 4C; what norms, rope and GeGLU make is
 * there for one layer at a time, b (2C + (H + K)D + I), and so are gradients, 4C + b (C + I + 3(H + K)D). With gradient checkpointing
 * only one layer's tensors are held at a time. The head's chunk of logits comes on top, whatever the number of tokens.
 */
export function trainingMemory(config: ModelConfig, parameters: number, dtype: 'float32' | 'bfloat16'): TrainingMemory {
  const { hiddenSize: C, headDim: D, numHeads: H, numKvHeads: K, intermediateSize: I, numLayers: L } = config;
  const b = dtype === 'float32' ? 4 : 2;
  const layer = b * (2 * C + 2 * (H + K) * D + 2 * I) + 4 * C + 4 * (2 * H + K + 4);
  const remade = b * (2 * C + (H + K) * D + I);
  const inputs = (L + 1) * 4 * C;
  const gradients = 4 * C + b * (C + I + 3 * (H + K) * D);
  return {
    state: 16 * parameters,
    activationsPerToken: L * layer + remade + inputs + gradients,
    activationsPerTokenWithCheckpointing: layer + remade + inputs + gradients,
  };
}
