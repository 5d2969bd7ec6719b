import { isDeepStrictEqual } from 'node:util';
import { toolOf } from '../prediction.js';
import { hit, type Metric } from './metric.js';

/** The whole generation is one readable call with the gold name and exactly the gold arguments (as values, in any order). */
export const exactMatch: Metric<'exact_match'> = {
  name: 'exact_match',
  title: 'exactly the gold call',
  better: 'higher',
  score: (p) => hit(p.calls.length === 1 && p.unreadable === 0 && isDeepStrictEqual(p.calls[0], p.gold)),
};

/** At least one call, and every call can be read back. */
export const parseRate: Metric<'parse_rate'> = {
  name: 'parse_rate',
  title: 'readable calls',
  better: 'higher',
  score: (p) => hit(p.calls.length > 0 && p.unreadable === 0),
};

/** The first call names a tool that was not on offer. */
export const unknownTool: Metric<'unknown_tool_rate'> = {
  name: 'unknown_tool_rate',
  title: 'tool not on offer',
  better: 'lower',
  score: (p) => (p.calls[0] ? hit(toolOf(p.row, p.calls[0].name) === undefined) : null),
};
