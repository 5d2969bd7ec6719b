import type { EncodedRow } from '@gemmatune/data';
import type { LogRow } from '@gemmatune/train';
import { expect } from 'vitest';
import { MEASURED, type PreparedRow } from '../golden/load.js';

export const encoded = (rows: PreparedRow[]): EncodedRow[] =>
  rows.map((r) => ({ inputIds: Int32Array.from(r.input_ids), labels: Int32Array.from(r.labels) }));

/**
 * Keys in the same order, values to 4 digits; measured times are compared by key only. With loss_type 'nll' TRL writes two keys the
 * other way round; ours are always in the order of its default, 'chunked_nll'.
 */
export function expectRow(row: LogRow, golden: Record<string, number>, where: string, sameOrder: boolean): void {
  const keys = (o: object) => (sameOrder ? Object.keys(o) : Object.keys(o).sort());
  expect(keys(row), where).toEqual(keys(golden));
  for (const [key, want] of Object.entries(golden)) {
    if (MEASURED.test(key)) continue;
    const got = row[key as keyof LogRow]!;
    expect(Math.abs(got - want), `${where}: ${key} is ${got}, expected ${want}`).toBeLessThanOrEqual(
      5e-5 * Math.abs(want) + 1e-9,
    );
  }
}
