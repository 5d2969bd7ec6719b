/**
 * Character error rate as `evaluate.load("cer")` computes it with jiwer >= 4: str.strip() on both sides, then Levenshtein distance
 * over code points with unit costs; a corpus is sum of edits / sum of reference characters.
 * Source: huggingface/evaluate metrics/cer/cer.py, jitsi/jiwer 4.0.
 */
import { strip } from '@gemmatune/schema';

/** Edits that turn `prediction` into `reference`, and the reference's length, both in code points. */
export function characterErrors(prediction: string, reference: string): { edits: number; characters: number } {
  const p = Array.from(strip(prediction));
  const r = Array.from(strip(reference));
  // One row of the Levenshtein table at a time: row[j] = distance of the first i of p to the first j of r.
  let row = Uint32Array.from({ length: r.length + 1 }, (_, j) => j);
  for (let i = 1; i <= p.length; i++) {
    const next = new Uint32Array(r.length + 1);
    next[0] = i;
    for (let j = 1; j <= r.length; j++)
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (p[i - 1] === r[j - 1] ? 0 : 1));
    row = next;
  }
  return { edits: row[r.length]!, characters: r.length };
}
