import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EncodedRow } from '@gemmatune/data';
import type { Batch, BatchMetrics, PassMemory, Recompute, Update } from '@gemmatune/engine';
import type { TrainableModel } from './loop.js';
import { noMetrics } from './metrics.js';

/**
 * A real model small enough to check by hand, for tests of the loop: logits of the next token = weight[token] + bias, in float64, with its
 * true gradient and AdamW as torch computes it (no decay on the bias).
 */
export class BigramModel implements TrainableModel {
  readonly parameters;
  readonly vocabSize: number;
  /** weight (V, V), then bias (V) */
  readonly weights: Float64Array;
  readonly gradient: Float64Array;
  readonly #m: Float64Array;
  readonly #v: Float64Array;
  /** Every update asked for, in order. */
  readonly updates: Update[] = [];
  /** Every batch trained on, in order. */
  readonly batches: Batch[] = [];
  /** Multiplies the gradients of the updates it names (counted from 1): NaN makes a step diverge. */
  poison: (update: number) => number = () => 1;
  /** What a pass takes; by default memory is not limited. */
  passMemory: (tokens: number, targets: number) => PassMemory = () => ({
    bytes: { none: 0, elementwise: 0, blocks: 0 },
    available: null,
  });
  /** Every mode asked for, in order. */
  readonly recomputed: Recompute[] = [];
  /** Called before anything is written. */
  beforeSave: (folder: string) => void = () => {};

  constructor(vocabSize: number) {
    this.vocabSize = vocabSize;
    const size = vocabSize * vocabSize + vocabSize;
    this.weights = Float64Array.from({ length: size }, (_, i) => Math.sin(i * 12.9898) * 0.5);
    this.gradient = new Float64Array(size);
    this.#m = new Float64Array(size);
    this.#v = new Float64Array(size);
    this.parameters = [
      { name: 'model.embed_tokens.weight', shape: [vocabSize, vocabSize], decay: true },
      { name: 'model.bias', shape: [vocabSize], decay: false },
    ];
  }

  setRecompute(recompute: Recompute): void {
    this.recomputed.push(recompute);
  }

  async accumulate(batch: Batch | null): Promise<BatchMetrics> {
    if (batch === null) return noMetrics();
    this.batches.push(batch);
    return this.#forward(batch, true);
  }

  async score(batch: Batch): Promise<BatchMetrics & { logprobs: Float32Array }> {
    return { ...this.#forward(batch, false), logprobs: new Float32Array(batch.tokens.length) };
  }

  #forward({ tokens, targets }: Batch, train: boolean): BatchMetrics {
    const V = this.vocabSize;
    const sums = { lossSum: 0, targets: 0, correct: 0, entropySum: 0 };
    for (const [t, target] of targets.entries()) {
      if (target === -100) continue;
      const row = tokens[t]! * V;
      const logits = Array.from({ length: V }, (_, j) => this.weights[row + j]! + this.weights[V * V + j]!);
      const max = Math.max(...logits);
      const exps = logits.map((x) => Math.exp(x - max));
      const total = exps.reduce((a, b) => a + b, 0);
      const p = exps.map((x) => x / total);
      sums.lossSum -= Math.log(p[target]!);
      sums.targets += 1;
      sums.correct += logits.indexOf(max) === target ? 1 : 0;
      sums.entropySum -= p.reduce((sum, x) => sum + x * Math.log(x), 0);
      if (!train) continue;
      for (let j = 0; j < V; j++) {
        const dlogit = p[j]! - (j === target ? 1 : 0);
        this.gradient[row + j]! += dlogit;
        this.gradient[V * V + j]! += dlogit;
      }
    }
    return sums;
  }

  async completeCopies(): Promise<void> {}

  /** The numbers themselves. */
  async checksum(): Promise<string> {
    return [this.weights, this.#m, this.#v].join();
  }

  async discard(): Promise<void> {
    this.gradient.fill(0);
  }

  async update(update: Update): Promise<{ gradNorm: number; applied: boolean }> {
    this.updates.push(update);
    const factor = this.poison(this.updates.length) / update.divisor;
    const gradient = this.gradient.map((x) => x * factor);
    this.gradient.fill(0);
    const gradNorm = Math.sqrt(gradient.reduce((sum, x) => sum + x * x, 0));
    if (!Number.isFinite(gradNorm)) return { gradNorm, applied: false };
    const clip = update.maxGradNorm > 0 ? Math.min(1, update.maxGradNorm / (gradNorm + 1e-6)) : 1;
    const { learningRate, weightDecay, beta1, beta2, epsilon, step } = update;
    for (const [i, unclipped] of gradient.entries()) {
      const g = unclipped * clip;
      const decay = i < this.vocabSize ** 2 ? weightDecay : 0;
      this.weights[i]! -= learningRate * decay * this.weights[i]!;
      this.#m[i] = beta1 * this.#m[i]! + (1 - beta1) * g;
      this.#v[i] = beta2 * this.#v[i]! + (1 - beta2) * g * g;
      const denominator = Math.sqrt(this.#v[i]!) / Math.sqrt(1 - beta2 ** step) + epsilon;
      this.weights[i]! -= ((learningRate / (1 - beta1 ** step)) * this.#m[i]!) / denominator;
    }
    return { gradNorm, applied: true };
  }

  async save(folder: string): Promise<void> {
    this.beforeSave(folder);
    await writeFile(join(folder, 'config.json'), JSON.stringify({ vocab_size: this.vocabSize }));
    await writeFile(join(folder, 'model.safetensors'), this.weights);
  }

  async saveState(folder: string): Promise<void> {
    await writeFile(join(folder, 'master.safetensors'), this.weights);
    await writeFile(join(folder, 'exp_avg.safetensors'), this.#m);
    await writeFile(join(folder, 'exp_avg_sq.safetensors'), this.#v);
  }

  async loadState(folder: string): Promise<void> {
    const read = async (name: string, into: Float64Array) => {
      const bytes = await readFile(join(folder, name));
      into.set(new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)));
    };
    await read('master.safetensors', this.weights);
    await read('exp_avg.safetensors', this.#m);
    await read('exp_avg_sq.safetensors', this.#v);
    this.gradient.fill(0);
  }
}

/** Rows of the given lengths over ids 0 .. vocabSize - 1; every position but the first is a target. */
export function rowsOf(lengths: readonly number[], vocabSize: number): EncodedRow[] {
  return lengths.map((length, i) => {
    const inputIds = Int32Array.from({ length }, (_, t) => (i * 7 + t * (3 + (i % 2))) % vocabSize);
    return { inputIds, labels: inputIds.slice() };
  });
}
