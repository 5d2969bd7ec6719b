import { argumentPrecision, argumentRecall, inventedArguments, missingArguments } from './arguments.js';
import { exactMatch, parseRate, unknownTool } from './calls.js';
import type { Metric } from './metric.js';
import { schemaValidity } from './schema-validity.js';
import { tcCer } from './tc-cer.js';
import { toolAccuracy } from './tool-accuracy.js';

/** All metrics, in the order in which they are shown. To add one: a file that exports a Metric, and its name here. */
export const METRICS = [
  toolAccuracy,
  tcCer,
  exactMatch,
  parseRate,
  argumentPrecision,
  argumentRecall,
  missingArguments,
  inventedArguments,
  unknownTool,
  schemaValidity,
] as const satisfies readonly Metric[];

export type MetricName = (typeof METRICS)[number]['name'];

export type { Metric, Part } from './metric.js';
