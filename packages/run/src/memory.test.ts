import { fileURLToPath } from 'node:url';
import { packBatch } from '@gemmatune/data';
import { Model } from '@gemmatune/engine';
import { describe, expect, it } from 'vitest';
import { trainingMemory } from './memory.js';

const TINY = fileURLToPath(new URL('../../../test/golden/tiny', import.meta.url));

const ROWS = 10;
const ROW = Int32Array.from({ length: 100 }, (_, i) => 3 + i);
const TOKENS = ROWS * ROW.length;

/** Bytes that the core says it holds after one pass. */
async function held(dtype: 'float32' | 'bfloat16', gradientCheckpointing: boolean) {
  await using model = await Model.load(TINY, { dtype, trainable: true, gradientCheckpointing });
  await model.accumulate(packBatch(Array.from({ length: ROWS }, () => ({ inputIds: ROW, labels: ROW }))));
  const parameters = model.parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return { memory: model.memory(), predicted: trainingMemory(model.config, parameters, dtype) };
}

describe('trainingMemory', () => {
  it.each(['float32', 'bfloat16'] as const)('is what the core holds in %s', async (dtype) => {
    const { memory: all, predicted } = await held(dtype, false);
    const { memory: inputs } = await held(dtype, true);
    // Each tensor is rounded up to whole cache lines: within 1 %.
    expect((all.weights + all.state) / predicted.state).toBeCloseTo(1, 1);
    const { activationsPerToken, activationsPerTokenWithCheckpointing } = predicted;
    const kept = (activationsPerToken - activationsPerTokenWithCheckpointing) * TOKENS;
    expect((all.activations - inputs.activations) / kept).toBeCloseTo(1, 2);
    // What the formula leaves out is the head.
    expect(all.activations).toBeGreaterThan(activationsPerToken * TOKENS);
    expect(all.activations - activationsPerToken * TOKENS).toBeLessThan(4e6);
  });
});
