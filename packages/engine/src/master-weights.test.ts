import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from './device.js';
import { Model, type ModelOptions } from './model.js';

const TINY = fileURLToPath(new URL('../../../test/golden/tiny', import.meta.url));
const WITHOUT = { trainable: true, masterWeights: false } as const satisfies ModelOptions;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gemmatune-master-weights-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Updates `from` to `to` on ten tokens that differ from update to update. */
async function train(model: Model, from: number, to: number, seed?: number): Promise<void> {
  for (let step = from; step <= to; step++) {
    const tokens = Int32Array.from({ length: 10 }, (_, i) => 3 + ((i * step) % 50));
    const targets = Int32Array.of(...tokens.subarray(1), -100);
    await model.accumulate({ tokens, targets, starts: Int32Array.of(0, 10) });
    const given = seed === undefined ? {} : { seed };
    const adamw = { weightDecay: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, ...given };
    const { applied } = await model.update({ learningRate: 5e-5, step, divisor: 9, maxGradNorm: 1, ...adamw });
    expect(applied).toBe(true);
  }
}

/** All weights and moments. */
async function state(model: Model): Promise<Float32Array[]> {
  const parts = [];
  for (const part of ['weight', 'exp_avg', 'exp_avg_sq'] as const)
    for (const { name } of model.parameters) parts.push(await model.read(part, name));
  return parts;
}

const isBfloat16 = (values: Float32Array): boolean =>
  new Uint32Array(values.buffer).every((bits) => (bits & 0xffff) === 0);

describe('a model without master weights', () => {
  it('is bfloat16 by itself, in half the memory', async () => {
    await using masters = await Model.load(TINY, { trainable: true, dtype: 'bfloat16' });
    await using model = await Model.load(TINY, WITHOUT);
    expect(model.dtype).toBe('bfloat16');
    const [whole, half] = [masters.memory(), model.memory()];
    expect(half.weights + half.state).toBe((whole.weights + whole.state) / 2);
    expect(half.state).toBe(3 * half.weights);
    expect(model.passMemory(100, 50)).toEqual(masters.passMemory(100, 50));
  });

  it('holds bfloat16 weights, gradients and moments', async () => {
    await using model = await Model.load(TINY, WITHOUT);
    await train(model, 1, 2);
    for (const values of await state(model)) expect(isBfloat16(values)).toBe(true);
    await model.accumulate({
      tokens: Int32Array.of(3, 4),
      targets: Int32Array.of(4, -100),
      starts: Int32Array.of(0, 2),
    });
    const gradient = await model.read('gradient', 'model.embed_tokens.weight');
    expect(isBfloat16(gradient)).toBe(true);
    expect(gradient.some((g) => g !== 0)).toBe(true);
    await model.discard();
    expect((await model.read('gradient', 'model.embed_tokens.weight')).every((g) => g === 0)).toBe(true);
  });

  it('gives the same bits for the same seed with any number of threads, others for another; 0 is the default', async () => {
    const trained = async (seed: number | undefined, threads: number) => {
      await using model = await Model.load(TINY, { ...WITHOUT, threads });
      await train(model, 1, 3, seed);
      return await state(model);
    };
    const first = await trained(undefined, 1);
    for (const threads of [2, 5]) expect(await trained(0, threads)).toEqual(first);
    expect(await trained(7, 2)).not.toEqual(first);
  });

  it('goes on from a saved state as if never stopped', async () => {
    await using straight = await Model.load(TINY, WITHOUT);
    await train(straight, 1, 2, 3);
    await straight.save(folder);
    await straight.saveState(folder);
    await train(straight, 3, 5, 3);
    await using resumed = await Model.load(folder, WITHOUT);
    await resumed.loadState(folder);
    await train(resumed, 3, 5, 3);
    expect(await state(resumed)).toEqual(await state(straight));
  });

  it('is refused where weights are their own masters, and on a GPU', async () => {
    await expect(Model.load(TINY, { ...WITHOUT, dtype: 'float32' })).rejects.toMatchObject({
      code: 'ERR_GEMMATUNE_ARGUMENT',
      message:
        'masterWeights is false and dtype is float32, whose weights are their own masters; expected dtype bfloat16, or masterWeights left on',
    });
    if (devices('emulated').problem !== null) return;
    await expect(Model.load(TINY, { ...WITHOUT, device: 'emulated' })).rejects.toMatchObject({
      code: 'ERR_GEMMATUNE_ARGUMENT',
      message:
        'device emulated trains with float32 master weights; masterWeights is false, expected true (the default), or device cpu',
    });
  });
});
