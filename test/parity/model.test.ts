// The model against transformers: logits (through log-probabilities), loss, every gradient, ten AdamW steps, greedy ids.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Model } from '@gemmatune/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  goldenPath,
  loadForward,
  loadForwardArrays,
  loadGeneration,
  loadTrajectory,
  loadTrajectoryWeights,
  loadTruthArrays,
} from '../golden/load.js';
import { pack, relativeL2, runTrajectory, truthLogprobs } from './batches.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gemmatune-parity-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe.each(['tiny', 'gqa'] as const)('%s in float32', (name) => {
  const forward = loadForward(name);
  const arrays = loadForwardArrays(name);

  it.each(['config.json', 'config.old.json'])('scores as transformers does (%s)', async (config) => {
    const copy = join(folder, `${name}-${config}`);
    await cp(goldenPath(name), copy, { recursive: true });
    await writeFile(join(copy, 'config.json'), await readFile(goldenPath(`${name}/${config}`)));
    await using model = await Model.load(copy, { dtype: 'float32' });
    const everywhere = forward.sequences.map((s) => ({ ids: s.ids, labels: s.ids }));
    const { logprobs } = await model.score(pack(everywhere));
    let at = 0;
    for (const s of forward.sequences) {
      for (let t = 0; t + 1 < s.ids.length; t++)
        expect(Math.abs(logprobs[at + t]! - s.logprobs[t]!)).toBeLessThan(1e-4);
      expect(logprobs[at + s.ids.length - 1]).toBeNaN();
      at += s.ids.length;
    }
  });

  // Every logit, not only those of the targets: each id in turn is asked for as the target of the last position.
  it('gives every logit within 1e-4', async () => {
    await using model = await Model.load(goldenPath(name), { dtype: 'float32' });
    const i = forward.sequences.findIndex((s) => s.ids.length > 8);
    const { ids } = forward.sequences[i]!;
    const logits = arrays.get(`logits.${i}`)!;
    const V = logits.shape[1]!;
    const prefix = Array.from({ length: V }, (_, id) => ({ ids: [...ids, id], labels: [...ids.map(() => -100), id] }));
    const { logprobs, starts } = { ...(await model.score(pack(prefix))), starts: pack(prefix).starts };
    const got = prefix.map((s, k) => logprobs[starts[k]! + s.ids.length - 2]!);
    const last = logits.data.subarray((ids.length - 1) * V, ids.length * V);
    // Log-probabilities are logits less one constant per row.
    const shift = got.reduce((sum, g, id) => sum + (last[id]! - g), 0) / V;
    for (let id = 0; id < V; id++) expect(Math.abs(got[id]! + shift - last[id]!)).toBeLessThan(1e-4);
  });

  it.each([false, true])(
    'computes loss, metrics and every gradient (checkpointing %s)',
    async (gradientCheckpointing) => {
      await using model = await Model.load(goldenPath(name), {
        dtype: 'float32',
        trainable: true,
        gradientCheckpointing,
      });
      const metrics = await model.accumulate(pack(forward.sequences));
      expect(metrics.targets).toBe(forward.targets);
      expect(metrics.correct).toBe(forward.sequences.reduce((sum, s) => sum + s.correct, 0));
      expect(Math.abs(metrics.lossSum / forward.lossSum - 1)).toBeLessThan(1e-5);
      const entropy = forward.sequences.reduce((sum, s) => sum + s.entropySum, 0);
      expect(Math.abs(metrics.entropySum / entropy - 1)).toBeLessThan(1e-5);
      for (const { name: parameter } of model.parameters) {
        const gradient = (await model.read('gradient', parameter)).map((g) => g / forward.targets);
        expect(relativeL2(gradient, arrays.get(`gradient.${parameter}`)!.data), parameter).toBeLessThan(1e-4);
      }
    },
  );

  it('generates the same ids greedily, one by one and batched, with and without stop ids', async () => {
    const golden = loadGeneration(name);
    await using model = await Model.load(goldenPath(name), { dtype: 'float32' });
    const prompts = golden.prompts.map((p) => Int32Array.from(p.prompt));
    for (const batchSize of [1, 3, 64]) {
      const free = await model.generate(prompts, { maxNewTokens: golden.maxNewTokens, stopIds: [1], batchSize });
      expect(free.map((ids) => [...ids])).toEqual(golden.prompts.map((p) => p.greedy));
      const stopped = await model.generate(prompts, {
        maxNewTokens: golden.maxNewTokens,
        stopIds: golden.stopIds,
        batchSize,
      });
      expect(stopped.map((ids) => [...ids])).toEqual(golden.prompts.map((p) => p.greedyStopped));
    }
  });
});

describe.each(['tiny', 'gqa'] as const)('%s in bfloat16', (name) => {
  it("errs at most twice as much as PyTorch's own bfloat16, against float64", async () => {
    const forward = loadForward(name);
    const truth = loadTruthArrays(name);
    const arrays = loadForwardArrays(name);
    await using model = await Model.load(goldenPath(name), { dtype: 'bfloat16', trainable: true });

    const everywhere = forward.sequences.map((s) => ({ ids: s.ids, labels: s.ids }));
    const { logprobs } = await model.score(pack(everywhere));
    const want = forward.sequences.flatMap((s, i) => [
      ...truthLogprobs(truth.get(`truth.logits.${i}`)!, s.ids),
      Number.NaN,
    ]);
    const worst = want.reduce((max, w, t) => (Number.isNaN(w) ? max : Math.max(max, Math.abs(w - logprobs[t]!))), 0);
    expect(worst).toBeLessThan(2 * forward.errors.bf16.logits.maxAbs);

    const metrics = await model.accumulate(pack(forward.sequences));
    const lossError = Math.abs(metrics.lossSum / forward.targets - forward.truth.lossMean);
    expect(lossError).toBeLessThan(2 * Math.max(forward.errors.bf16.loss, forward.truth.lossMean * 2 ** -9));
    for (const { name: parameter } of model.parameters) {
      const gradient = (await model.read('gradient', parameter)).map((g) => g / forward.targets);
      const error = relativeL2(gradient, arrays.get(`gradient.${parameter}`)!.data);
      expect(error, parameter).toBeLessThan(2 * forward.errors.bf16.gradients[parameter]!.relativeL2);
    }
  });
});

describe('ten AdamW updates', () => {
  const golden = loadTrajectory();

  async function run(options: {
    dtype: 'float32' | 'bfloat16';
    threads?: number;
    gradientCheckpointing?: boolean;
  }): Promise<{ model: Model; losses: number[]; norms: number[] }> {
    const model = await Model.load(goldenPath('tiny'), { trainable: true, ...options });
    return { model, ...(await runTrajectory(model)) };
  }

  it('follows torch in float32: losses within 1e-5, weights within 1e-4 of their norm', async () => {
    const { model, losses, norms } = await run({ dtype: 'float32' });
    for (const [i, step] of golden.steps.entries()) {
      expect(Math.abs(losses[i]! / step.loss - 1), `loss ${i}`).toBeLessThan(1e-5);
      expect(Math.abs(norms[i]! / step.gradNorm - 1), `norm ${i}`).toBeLessThan(1e-4);
    }
    for (const [name, { data }] of loadTrajectoryWeights())
      expect(relativeL2(await model.read('weight', name), data), name).toBeLessThan(1e-4);
    expect(
      model.parameters
        .filter((p) => p.decay)
        .map((p) => p.name)
        .sort(),
    ).toEqual([...golden.decayed].sort());
    await model.dispose();
  });

  it('gives the same bits with any number of threads, and with checkpointing', async () => {
    for (const dtype of ['float32', 'bfloat16'] as const) {
      const first = await run({ dtype, threads: 1 });
      for (const options of [
        { threads: 1 },
        { threads: 2 },
        { threads: 5 },
        { threads: 2, gradientCheckpointing: true },
      ]) {
        const other = await run({ dtype, ...options });
        expect(other.losses).toEqual(first.losses);
        expect(other.norms).toEqual(first.norms);
        for (const { name } of first.model.parameters)
          expect(await other.model.read('weight', name)).toEqual(await first.model.read('weight', name));
        await other.model.dispose();
      }
      await first.model.dispose();
    }
  });

  it('keeps float32 masters in bfloat16: small updates are not lost, and the losses stay close', async () => {
    const { model, losses } = await run({ dtype: 'bfloat16' });
    for (const [i, step] of golden.steps.entries())
      expect(Math.abs(losses[i]! / step.truthLoss - 1)).toBeLessThan(0.02);
    const [name, { data }] = [...loadTrajectoryWeights()].find(([n]) => n.endsWith('q_proj.weight'))!;
    const master = await model.read('weight', name);
    expect(
      master.some((w) => Math.fround(w) !== w || (new Uint32Array(new Float32Array([w]).buffer)[0]! & 0xffff) !== 0),
    ).toBe(true);
    expect(relativeL2(master, data)).toBeLessThan(0.05);
    await model.dispose();
  });
});

describe('folders', () => {
  it('a saved model and its state load again with the same bits, and training goes on as if never stopped', async () => {
    for (const dtype of ['float32', 'bfloat16'] as const) {
      const golden = loadTrajectory();
      const step = async (model: Model, i: number) => {
        for (const sequences of golden.updates[i]!) await model.accumulate(pack(sequences));
        await model.update({
          learningRate: 1e-3,
          step: i + 1,
          divisor: 10,
          maxGradNorm: 1,
          weightDecay: 0.01,
          beta1: 0.9,
          beta2: 0.999,
          epsilon: 1e-8,
        });
      };
      const saved = join(folder, `saved-${dtype}`);
      await using straight = await Model.load(goldenPath('tiny'), { dtype, trainable: true });
      await step(straight, 0);
      await straight.save(saved);
      await straight.saveState(saved);
      await step(straight, 1);
      await using resumed = await Model.load(saved, { dtype, trainable: true });
      await resumed.loadState(saved);
      await step(resumed, 1);
      for (const { name } of straight.parameters)
        expect(await resumed.read('weight', name)).toEqual(await straight.read('weight', name));
    }
  });
});
