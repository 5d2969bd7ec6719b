// The GPU backend, on the emulator or (GEMMATUNE_TEST_DEVICE=cuda) a real device, through the same boundary as everything else: scores, gradients, ten updates and generation against
// the golden files of transformers, on both code paths. GPU products are of bfloat16, so the limits are those of bfloat16.
import { Model, type ModelOptions } from '@gemmatune/engine';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  goldenPath,
  loadForward,
  loadForwardArrays,
  loadGeneration,
  loadTrajectory,
  loadTrajectoryWeights,
  loadTruthArrays,
  type Sequence,
} from '../golden/load.js';
import { pack, relativeL2, runTrajectory, truthLogprobs } from './batches.js';

const name = 'tiny';
const golden = loadTrajectory();

/** Trains on the golden updates and reads the weights. */
async function train(options: ModelOptions, regroup = (microBatches: Sequence[][]) => microBatches) {
  await using model = await Model.load(goldenPath(name), { trainable: true, ...options });
  const run = await runTrajectory(model, regroup);
  const weights = new Map<string, Float32Array>();
  for (const p of model.parameters) weights.set(p.name, await model.read('weight', p.name));
  return { ...run, weights };
}

describe.each(['sm75', 'sm80'])('emulated, code path %s', (path) => {
  beforeEach(() => {
    process.env.GEMMATUNE_GPU = path;
  });
  afterEach(() => {
    delete process.env.GEMMATUNE_GPU;
  });
  const device = process.env.GEMMATUNE_TEST_DEVICE === 'cuda' ? 'cuda' : 'emulated';
  // What most tests compare with: trained once.
  let trained: ReturnType<typeof train> | undefined;
  const once = () => (trained ??= train({ device }));

  it("errs at most twice as much as PyTorch's own bfloat16, against float64", async () => {
    const forward = loadForward(name);
    const truth = loadTruthArrays(name);
    const arrays = loadForwardArrays(name);
    await using model = await Model.load(goldenPath(name), { device, trainable: true });

    const everywhere = forward.sequences.map((s) => ({ ids: s.ids, labels: s.ids }));
    const { logprobs } = await model.score(pack(everywhere));
    const want = forward.sequences.flatMap((s, i) => [
      ...truthLogprobs(truth.get(`truth.logits.${i}`)!, s.ids),
      Number.NaN,
    ]);
    const worst = want.reduce((max, w, t) => (Number.isNaN(w) ? max : Math.max(max, Math.abs(w - logprobs[t]!))), 0);
    expect(worst).toBeLessThan(2 * forward.errors.bf16.logits.maxAbs);

    const metrics = await model.accumulate(pack(forward.sequences));
    expect(metrics.targets).toBe(forward.targets);
    const lossError = Math.abs(metrics.lossSum / forward.targets - forward.truth.lossMean);
    expect(lossError).toBeLessThan(2 * Math.max(forward.errors.bf16.loss, forward.truth.lossMean * 2 ** -9));
    for (const { name: parameter } of model.parameters) {
      const gradient = (await model.read('gradient', parameter)).map((g) => g / forward.targets);
      const error = relativeL2(gradient, arrays.get(`gradient.${parameter}`)!.data);
      expect(error, parameter).toBeLessThan(2 * forward.errors.bf16.gradients[parameter]!.relativeL2);
    }
  });

  it('follows ten float32 updates of torch and of the CPU as closely as the bfloat16 CPU does', async () => {
    const gpu = await once();
    const float32 = await train({ device: 'cpu', dtype: 'float32' });
    const bfloat16 = await train({ device: 'cpu', dtype: 'bfloat16' });
    for (const [i, step] of golden.steps.entries()) {
      expect(Math.abs(gpu.losses[i]! / step.truthLoss - 1), `loss ${i}`).toBeLessThan(0.02);
      expect(Math.abs(gpu.losses[i]! / float32.losses[i]! - 1), `loss ${i} of the cpu`).toBeLessThan(0.02);
      expect(Math.abs(gpu.norms[i]! / float32.norms[i]! - 1), `norm ${i}`).toBeLessThan(0.05);
    }
    for (const [parameter, { data }] of loadTrajectoryWeights()) {
      const initial = data; // limits are relative to the weights themselves
      const own = relativeL2(bfloat16.weights.get(parameter)!, data, initial);
      expect(relativeL2(gpu.weights.get(parameter)!, data, initial), parameter).toBeLessThan(3 * own + 1e-3);
    }
  });

  it('gives the same bits twice, and whatever is recomputed in the backward pass', async () => {
    const first = await once();
    for (const options of [{}, { recompute: 'elementwise' }, { recompute: 'blocks' }] as const) {
      const other = await train({ device, ...options });
      expect(other.losses).toEqual(first.losses);
      expect(other.norms).toEqual(first.norms);
      expect(other.weights).toEqual(first.weights);
    }
  });

  it('takes one packed pass for many micro-batches: the first losses are the same numbers, the weights agree', async () => {
    const apart = await once();
    const merged = await train({ device }, (microBatches) => [microBatches.flat()]);
    const split = await train({ device }, (microBatches) => microBatches.flat().map((sequence) => [sequence]));
    for (const other of [merged, split]) {
      expect(Math.abs(other.losses[0]! / apart.losses[0]! - 1)).toBeLessThan(1e-3);
      for (const [parameter, weights] of apart.weights)
        expect(relativeL2(other.weights.get(parameter)!, weights), parameter).toBeLessThan(0.02);
    }
  });

  it('generates the ids of transformers wherever bfloat16 can tell the best from the second best', async () => {
    const { prompts, maxNewTokens, stopIds } = loadGeneration(name);
    const resolution = 4 * loadForward(name).errors.bf16.logits.maxAbs;
    await using model = await Model.load(goldenPath(name), { device });
    const ids = prompts.map((p) => Int32Array.from(p.prompt));
    const one = await model.generate(ids, { maxNewTokens, stopIds: [1], batchSize: 1 });
    const three = await model.generate(ids, { maxNewTokens, stopIds: [1], batchSize: 3 });
    expect(three).toEqual(one);
    const clear = prompts.filter((p) => p.smallestMargin > resolution);
    for (const [i, p] of prompts.entries()) if (clear.includes(p)) expect([...one[i]!]).toEqual(p.greedy);
    const stopped = await model.generate(ids, { maxNewTokens, stopIds, batchSize: 2 });
    for (const [i, s] of stopped.entries()) {
      expect([...s]).toEqual([...one[i]!.subarray(0, s.length)]);
      expect(s.length === maxNewTokens || stopIds.includes(s.at(-1)!) || s.at(-1) === 1).toBe(true);
    }
    const drawn = { maxNewTokens: 5, stopIds: [], temperature: 1, topK: 50, topP: 0.9, seed: 7 };
    expect(await model.generate(ids, { ...drawn, batchSize: 2 })).toEqual(
      await model.generate(ids, { ...drawn, batchSize: 5 }),
    );
  });

  it('saves what it trained, and goes on from there with the same bits', async () => {
    const { mkdtemp, rm } = await import('node:fs/promises');
    const { tmpdir } = await import('node:os');
    const folder = await mkdtemp(`${tmpdir()}/gemmatune-gpu-`);
    try {
      const step = async (model: Model, i: number) => {
        for (const sequences of golden.updates[i]!) await model.accumulate(pack(sequences));
        const rest = { maxGradNorm: 1, weightDecay: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
        await model.update({ learningRate: 1e-3, step: i + 1, divisor: 10, ...rest });
      };
      await using straight = await Model.load(goldenPath(name), { device, trainable: true });
      await step(straight, 0);
      await straight.save(folder);
      await straight.saveState(folder);
      await step(straight, 1);
      await using resumed = await Model.load(folder, { device, trainable: true });
      await resumed.loadState(folder);
      await step(resumed, 1);
      for (const p of straight.parameters)
        expect(await resumed.read('weight', p.name)).toEqual(await straight.read('weight', p.name));
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('what a GPU device refuses', () => {
  it('float32 weights', async () => {
    await expect(Model.load(goldenPath(name), { device: 'emulated', dtype: 'float32' })).rejects.toThrow(
      /computes with bfloat16 weights .* dtype is float32, expected bfloat16/,
    );
  });
  it('a model whose rows cannot be read 16 bytes at a time', async () => {
    await expect(Model.load(goldenPath('gqa'), { device: 'emulated', dtype: 'bfloat16' })).rejects.toThrow(
      /needs a multiple of 8 for vocab_size, the config has 211/,
    );
  });
});
