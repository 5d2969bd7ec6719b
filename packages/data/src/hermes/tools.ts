import { type ExactJson, type ExactObject, parseExactJson } from '@gemmatune/schema';
import { hermesType } from './types.js';

/**
 * The `tools` column of a Hermes row (JSON text or a list) as declarations in the Hugging Face layout, as the fine-tuning tutorial
 * makes them: JSON Schema parameters pass through and get a `required`; per-argument parameters become properties, all required;
 * what cannot be read is no tool at all. A declaration already wrapped in {type, function} comes out without a name.
 */
export function hermesTools(column: ExactJson | undefined): ExactObject[] {
  const list = typeof column === 'string' ? parseOr(column, null) : column;
  if (!Array.isArray(list)) return [];
  return list.filter((tool) => tool instanceof Map).map(declaration);
}

function declaration(tool: ExactObject): ExactObject {
  const description = tool.get('description');
  return new Map<string, ExactJson>([
    ['type', 'function'],
    [
      'function',
      new Map<string, ExactJson>([
        ['name', tool.get('name') ?? null],
        ['description', description === undefined ? '' : description],
        ['parameters', parameters(tool.get('parameters'))],
      ]),
    ],
  ]);
}

function parameters(given: ExactJson | undefined): ExactObject {
  if (given instanceof Map && given.has('type') && given.has('properties')) {
    return given.has('required') ? given : new Map(given).set('required', []);
  }
  const properties: ExactObject = new Map();
  if (given instanceof Map) {
    for (const [name, spec] of given) properties.set(name, property(spec));
  }
  return new Map<string, ExactJson>([
    ['type', 'object'],
    ['properties', properties],
    ['required', [...properties.keys()]],
  ]);
}

/** One argument of the per-argument style: {"description": "..", "type": "int", "default": ..}. */
function property(spec: ExactJson): ExactObject {
  if (!(spec instanceof Map)) return hermesType(null);
  const schema = hermesType(spec.get('type'));
  const description = spec.get('description');
  return description === undefined ? schema : schema.set('description', description);
}

/** The parsed text, or `otherwise` where it is not JSON. */
export function parseOr<T>(text: string, otherwise: T): ExactJson | T {
  try {
    return parseExactJson(text);
  } catch {
    return otherwise;
  }
}
