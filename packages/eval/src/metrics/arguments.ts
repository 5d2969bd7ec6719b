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

type Counts = ReturnType<typeof compare>;

/** A metric whose score is one count out of another; null where there is nothing to count. */
function share<const Name extends string>(
  name: Name,
  title: string,
  better: Metric['better'],
  value: keyof Counts,
  weight: keyof Counts,
): Metric<Name> {
  const score = (p: Prediction) => {
    const counts = compare(p);
    return counts[weight] === 0 ? null : { value: counts[value], weight: counts[weight] };
  };
  return { name, title, better, score };
}

/** Of the arguments given, the share whose name and value are right. */
export const argumentPrecision = share(
  'argument_precision',
  'right arguments of those given',
  'higher',
  'right',
  'predicted',
);
/** Of the gold arguments, the share given with the right value. */
export const argumentRecall = share('argument_recall', 'right arguments of those expected', 'higher', 'right', 'gold');
/** Of the gold arguments, the share not given at all. */
export const missingArguments = share('missing_argument_rate', 'arguments left out', 'lower', 'missing', 'gold');
/** Of the arguments given, the share that the gold call does not have. */
export const inventedArguments = share('invented_argument_rate', 'arguments made up', 'lower', 'invented', 'predicted');
