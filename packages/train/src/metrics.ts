import type { BatchMetrics } from '@gemmatune/engine';

export const noMetrics = (): BatchMetrics => ({ lossSum: 0, targets: 0, correct: 0, entropySum: 0 });

export function added(a: BatchMetrics, b: BatchMetrics): BatchMetrics {
  return {
    lossSum: a.lossSum + b.lossSum,
    targets: a.targets + b.targets,
    correct: a.correct + b.correct,
    entropySum: a.entropySum + b.entropySum,
  };
}

/** Sums over batches from which both ways of averaging follow. Plain numbers: a checkpoint carries them. */
export interface MetricSums {
  batches: number;
  targets: number;
  lossSum: number;
  correct: number;
  entropySum: number;
  /** Sums of the batches' own means, for the unweighted average over batches. */
  accuracies: number;
  entropies: number;
  /** Sum of (rows of the batch x mean loss of the batch), and the rows. */
  rowLosses: number;
  rows: number;
}

export function emptySums(): MetricSums {
  return {
    batches: 0,
    targets: 0,
    lossSum: 0,
    correct: 0,
    entropySum: 0,
    accuracies: 0,
    entropies: 0,
    rowLosses: 0,
    rows: 0,
  };
}

/** Adds one batch of `rows` rows. A batch without targets has means 0, as in TRL's compute_loss. */
export function addBatch(sums: MetricSums, batch: BatchMetrics, rows: number): void {
  const { targets } = batch;
  sums.batches += 1;
  sums.targets += targets;
  sums.lossSum += batch.lossSum;
  sums.correct += batch.correct;
  sums.entropySum += batch.entropySum;
  sums.accuracies += targets > 0 ? batch.correct / targets : 0;
  sums.entropies += targets > 0 ? batch.entropySum / targets : 0;
  sums.rowLosses += targets > 0 ? rows * (batch.lossSum / targets) : 0;
  sums.rows += rows;
}

/**
 * Averages. By default every target token counts the same. With compat 'trl' accuracy and entropy are unweighted means over batches
 * (trl/trainer/sft_trainer.py, log) and the loss is weighted by rows (transformers/trainer.py, evaluation_loop).
 */
export function averages(sums: MetricSums, compat: 'trl' | null): { loss: number; accuracy: number; entropy: number } {
  if (compat === 'trl') {
    return {
      loss: sums.rowLosses / sums.rows,
      accuracy: sums.accuracies / sums.batches,
      entropy: sums.entropies / sums.batches,
    };
  }
  return {
    loss: sums.lossSum / sums.targets,
    accuracy: sums.correct / sums.targets,
    entropy: sums.entropySum / sums.targets,
  };
}
