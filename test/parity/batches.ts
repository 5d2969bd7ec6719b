import type { Batch, Model } from '@gemmatune/engine';
import { expect } from 'vitest';
import { loadTrajectory, type Sequence } from '../golden/load.js';

/** Packs golden sequences as the engine takes them: targets are labels shifted by one within each sequence. */
export function pack(sequences: readonly Sequence[]): Batch {
  const starts = [0];
  for (const s of sequences) starts.push(starts.at(-1)! + s.ids.length);
  return {
    tokens: Int32Array.from(sequences.flatMap((s) => s.ids)),
    targets: Int32Array.from(sequences.flatMap((s) => [...s.labels.slice(1), -100])),
    starts: Int32Array.from(starts),
  };
}

/** L2 norm of a - b over the L2 norm of `scale` (default b). */
export function relativeL2(a: ArrayLike<number>, b: ArrayLike<number>, scale: ArrayLike<number> = b): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (a[i]! - b[i]!) ** 2;
    norm += scale[i]! ** 2;
  }
  return Math.sqrt(difference / norm);
}

/** Log-probabilities of every next token from float64 logits. */
export function truthLogprobs(logits: { shape: number[]; data: Float64Array }, ids: readonly number[]): number[] {
  const V = logits.shape[1]!;
  return ids.slice(1).map((id, t) => {
    const row = logits.data.subarray(t * V, (t + 1) * V);
    const top = row.reduce((a, b) => Math.max(a, b));
    return row[id]! - top - Math.log(row.reduce((sum, z) => sum + Math.exp(z - top), 0));
  });
}

/** Runs the golden updates on a tiny model; `regroup` turns an update's micro-batches into the passes to run. */
export async function runTrajectory(
  model: Model,
  regroup = (microBatches: Sequence[][]) => microBatches,
): Promise<{ losses: number[]; norms: number[] }> {
  const { settings, steps, updates } = loadTrajectory();
  const losses: number[] = [];
  const norms: number[] = [];
  for (const [i, microBatches] of updates.entries()) {
    let lossSum = 0;
    let targets = 0;
    for (const sequences of regroup(microBatches)) {
      const m = await model.accumulate(pack(sequences));
      lossSum += m.lossSum;
      targets += m.targets;
    }
    const { gradNorm, applied } = await model.update({
      learningRate: steps[i]!.learningRate,
      step: i + 1,
      divisor: targets,
      maxGradNorm: settings.maxGradNorm,
      weightDecay: settings.weightDecay,
      beta1: settings.beta1,
      beta2: settings.beta2,
      epsilon: settings.epsilon,
    });
    expect(applied).toBe(true);
    losses.push(lossSum / targets);
    norms.push(gradNorm);
  }
  return { losses, norms };
}
