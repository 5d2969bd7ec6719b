import { type Option, optional, shown } from '@gemmatune/base';
import { TrainError } from './errors.js';

/** `option`, but null (its new default) leaves it to the number of training rows: see by-rows.ts. With compat 'trl' its old default stays. */
export function byRows<T extends number | string>(option: Option<T>): Option<T | null> {
  const trl = option.default;
  return { ...optional(option), trl, shownDefault: `by the number of rows; ${trl} with compat trl` };
}

export function refused(name: string, value: unknown, expected: string): TrainError {
  return new TrainError('ERR_GEMMATUNE_ARGUMENT', `\`${name}\` is ${shown(value)}; expected ${expected}.`);
}
