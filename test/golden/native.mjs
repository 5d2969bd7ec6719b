// The golden training of the tiny model as plain words and numbers, for a test in C++ that has neither JSON nor Node:
// `node test/golden/native.mjs` writes tiny/native.txt. In order: config; weights (name, offset in model.safetensors); settings; updates
// (learning rate, loss, loss in float64, gradient norm), each with its passes (starts, tokens, targets).
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const path = (name) => fileURLToPath(new URL(`tiny/${name}`, import.meta.url));
const json = (name) => JSON.parse(readFileSync(path(name), 'utf8'));

export function nativeText() {
  const c = json('config.json');
  const { full_attention: full, sliding_attention: local } = c.rope_parameters;
  const file = readFileSync(path('model.safetensors'));
  const size = Number(file.readBigUInt64LE(0));
  const { __metadata__: _, ...tensors } = JSON.parse(file.subarray(8, 8 + size).toString());
  const { settings, updates, steps } = json('trajectory.json');
  const lines = [
    [
      ...[c.vocab_size, c.hidden_size, c.num_hidden_layers, c.num_attention_heads, c.num_key_value_heads, c.head_dim],
      ...[c.intermediate_size, c.sliding_window, c.max_position_embeddings],
      ...c.layer_types.map((type) => Number(type === 'full_attention')),
      ...[full.rope_theta, local.rope_theta, full.factor ?? 1, c.rms_norm_eps, c.query_pre_attn_scalar],
    ],
    [Object.keys(tensors).length],
    ...Object.entries(tensors).map(([name, { data_offsets }]) => [name, 8 + size + data_offsets[0]]),
    [settings.beta1, settings.beta2, settings.epsilon, settings.weightDecay, settings.maxGradNorm],
    [updates.length],
  ];
  for (const [i, microBatches] of updates.entries()) {
    const { learningRate, loss, truthLoss, gradNorm } = steps[i];
    lines.push([learningRate, loss, truthLoss, gradNorm, microBatches.length]);
    for (const sequences of microBatches) {
      const starts = [0];
      for (const { ids } of sequences) starts.push(starts.at(-1) + ids.length);
      lines.push(
        [sequences.length, ...starts],
        sequences.flatMap(({ ids }) => ids),
        sequences.flatMap(({ labels }) => [...labels.slice(1), -100]),
      );
    }
  }
  return lines.map((line) => `${line.join(' ')}\n`).join('');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(path('native.txt'), nativeText());
