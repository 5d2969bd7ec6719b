import type { JsonObject, Tool } from '@gemmatune/schema';
import { Ajv, type ValidateFunction } from 'ajv';
import { toolOf } from '../prediction.js';
import { hit, type Metric } from './metric.js';

// Tools come from the wild: unknown keywords and formats must not stop an evaluation.
const ajv = new Ajv({ strict: false, validateFormats: false, logger: false });
const compiled = new WeakMap<Tool, ValidateFunction | null>();

/** A tool's parameters as a validator; null where they are not a JSON Schema that compiles. */
function validator(tool: Tool): ValidateFunction | null {
  let validate = compiled.get(tool);
  if (validate === undefined) {
    try {
      validate = ajv.compile(lowerCaseTypes(tool.function.parameters ?? {}) as JsonObject);
    } catch {
      validate = null;
    }
    compiled.set(tool, validate);
  }
  return validate;
}

/** Some data sets write types in capitals ("STRING"); JSON Schema knows lower case only. */
function lowerCaseTypes(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(lowerCaseTypes);
  if (typeof schema !== 'object' || schema === null) return schema;
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [
      key,
      key === 'type' && typeof value === 'string' ? value.toLowerCase() : lowerCaseTypes(value),
    ]),
  );
}

/** The first call's arguments are valid under its tool's JSON Schema; null where there is no call, no such tool or no usable schema. */
export const schemaValidity: Metric<'schema_validity'> = {
  name: 'schema_validity',
  title: 'arguments valid under the schema',
  better: 'higher',
  score: (p) => {
    const call = p.calls[0];
    const tool = call && toolOf(p.row, call.name);
    const validate = tool && validator(tool);
    return validate ? hit(validate(call.arguments) as boolean) : null;
  },
};
