import { shown } from '@gemmatune/base';
import { type EncodedRow, IGNORE, packRows, TRL_PACKING_ROWS } from '@gemmatune/data';
import type { TrainOptions } from './config.js';
import { TrainError } from './errors.js';

/** Tokens that are learnt. Position 0 is never a target: nothing comes before it. */
export function targetsOf({ labels }: EncodedRow): number {
  let targets = 0;
  for (let position = 1; position < labels.length; position++) if (labels[position] !== IGNORE) targets++;
  return targets;
}

/**
 * @returns how many rows have no token to learn
 * @throws TrainError ERR_GEMMATUNE_ARGUMENT naming the row (counted from 0, as in the array) that is malformed, or that there is
 * nothing to learn at all
 */
export function checkRows(rows: readonly EncodedRow[], name: string): number {
  const refuse = (sentence: string) => new TrainError('ERR_GEMMATUNE_ARGUMENT', sentence);
  if (!Array.isArray(rows)) throw refuse(`${name} is ${shown(rows)}; expected the rows of encodeRows.`);
  if (rows.length === 0) throw refuse(`${name} is empty; expected at least one row.`);
  for (const [i, { inputIds, labels }] of rows.entries()) {
    if (!(inputIds instanceof Int32Array && labels instanceof Int32Array)) {
      throw refuse(`${name}[${i}] has no inputIds and labels as Int32Array; encode the rows first.`);
    }
    if (inputIds.length === 0) throw refuse(`${name}[${i}] has no tokens; expected at least one.`);
    if (inputIds.length !== labels.length) {
      throw refuse(
        `${name}[${i}] has ${inputIds.length} inputIds and ${labels.length} labels; expected as many of both.`,
      );
    }
  }
  const without = rows.filter((row) => targetsOf(row) === 0).length;
  if (without === rows.length) {
    throw refuse(
      `None of the ${rows.length} rows of ${name} has a target token (a label that is not ${IGNORE}); check the loss mask.`,
    );
  }
  return without;
}

/** What micro-batches are counted in: single rows, or with `packing` packs of rows. items[i] = row numbers. */
export function itemsOf(rows: readonly EncodedRow[], { packing, maxLength, compat }: TrainOptions): number[][] {
  if (!packing) return rows.map((_, row) => [row]);
  const lengths = rows.map(({ inputIds }) => inputIds.length);
  return compat === 'trl' ? packRows(lengths, maxLength, TRL_PACKING_ROWS) : packRows(lengths, maxLength);
}
