/** Which rank trains on which items of an update. */
import type { EncodedRow } from '@gemmatune/data';
import type { ParameterInfo } from '@gemmatune/engine';
import { targetsOf } from './rows.js';
import { parameterCounts } from './state.js';

/** The work of a row, up to a factor: every token goes through the body, every target through the tied embedding too. */
export function rowCost(parameters: readonly ParameterInfo[]): (row: EncodedRow) => number {
  const { body, embedding } = parameterCounts(parameters);
  return (row) => row.inputIds.length * body + targetsOf(row) * embedding;
}

/**
 * Deals items so that ranks have about as much to do: the costliest first, each to the rank that has least, the lowest of equals (Graham 1969:
 * never more than 4/3 of the best).
 * @returns shares[r] = positions of rank r's items, ascending; perhaps none
 */
export function dealByCost(costs: readonly number[], ranks: number): number[][] {
  const shares = Array.from({ length: ranks }, (): number[] => []);
  const loads = new Array<number>(ranks).fill(0);
  const costliestFirst = costs.map((_, item) => item).sort((a, b) => costs[b]! - costs[a]! || a - b);
  for (const item of costliestFirst) {
    const rank = loads.indexOf(Math.min(...loads));
    shares[rank]!.push(item);
    loads[rank]! += costs[item]!;
  }
  for (const share of shares) share.sort((a, b) => a - b);
  return shares;
}

/**
 * accelerate's BatchSamplerShard with even_batches: the epoch's last batch is topped up with the epoch's first items, over and over where there are
 * few, so that every rank has a full micro-batch of it.
 * @param updates updates[u][b] = items of batch b of all ranks; the last batch is lengthened in place
 */
export function topUp(updates: readonly number[][][], itemsPerBatch: number): void {
  const order = updates.flat(2);
  const last = updates.at(-1)!.at(-1)!;
  for (let i = 0; last.length < itemsPerBatch; i++) last.push(order[i % order.length]!);
}

/**
 * Ranks that TRL counts in accuracy, entropy and tokens of an epoch's last update: gather_for_metrics cuts its list of ranks as if it were a list of
 * items, to as many as the last batch has before it is topped up. The loss has no such gap.
 */
export function ranksCountedByTrl(items: number, itemsPerBatch: number, ranks: number): number {
  const remainder = items % itemsPerBatch;
  return remainder === 0 ? ranks : Math.min(ranks, remainder);
}
