import { isDeepStrictEqual } from 'node:util';
import type { Prediction } from '../prediction.js';
import type { Metric } from './metric.js';

/** Arguments of the first call against the gold ones; a call of another tool, or none, has no right argument. */
function compare(p: Prediction): { right: number; predicted: number; gold: number; missing: number; invented: number } {
  const call = p.calls[0];
  const predicted = Object.entries(call?.arguments ?? {});
  const sameTool = call?.name === p.gold.name;
  const isGold = (name: string) => sameTool && Object.hasOwn(p.gold.arguments, name);
  const right = predicted.filter(
    ([name, value]) => isGold(name) && isDeepStrictEqual(value, p.gold.arguments[name]),
  ).length;
  const named = predicted.filter(([name]) => isGold(name)).length;
  const gold = Object.keys(p.gold.arguments).length;
  return { right, predicted: predicted.length, gold, missing: gold - named, invented: predicted.length - named };
}

const part = (value: number, weight: number): { value: number; weight: number } | null =>
  weight === 0 ? null : { value, weight };

/** Of the arguments given, the share whose name and value are right. */
export const argumentPrecision: Metric = {
  name: 'argument_precision',
  title: 'right arguments of those given',
  better: 'higher',
  score: (p) => {
    const c = compare(p);
    return part(c.right, c.predicted);
  },
};

/** Of the gold arguments, the share given with the right value. */
export const argumentRecall: Metric = {
  name: 'argument_recall',
  title: 'right arguments of those expected',
  better: 'higher',
  score: (p) => {
    const c = compare(p);
    return part(c.right, c.gold);
  },
};

/** Of the gold arguments, the share not given at all. */
export const missingArguments: Metric = {
  name: 'missing_argument_rate',
  title: 'arguments left out',
  better: 'lower',
  score: (p) => {
    const c = compare(p);
    return part(c.missing, c.gold);
  },
};

/** Of the arguments given, the share that the gold call does not have. */
export const inventedArguments: Metric = {
  name: 'invented_argument_rate',
  title: 'arguments made up',
  better: 'lower',
  score: (p) => {
    const c = compare(p);
    return part(c.invented, c.predicted);
  },
};
