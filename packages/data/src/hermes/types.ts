import { type ExactJson, type ExactObject, PYTHON_SPACE, strip } from '@gemmatune/schema';

const PRIMITIVES = new Map([
  ['str', 'string'],
  ['string', 'string'],
  ['int', 'integer'],
  ['integer', 'integer'],
  ['float', 'number'],
  ['number', 'number'],
  ['bool', 'boolean'],
  ['boolean', 'boolean'],
  ['dict', 'object'],
  ['object', 'object'],
  ['list', 'array'],
  ['array', 'array'],
]);

// Python's `.` stops at \n only. The greedy first group splits at the last comma, so Dict[str, Dict[str, int]] has values "int]".
const LIST = /^List\[([^\n]+)\]$/;
const DICT = new RegExp(`^Dict\\[[^\\n]+,${PYTHON_SPACE}*([^\\n]+)\\]$`);

/**
 * A type as Hermes rows write it ("str", "List[int]", "Dict[str, float]", or already a schema) as JSON Schema. What is not known
 * is a string, as in the fine-tuning tutorial this follows.
 */
export function hermesType(type: ExactJson | undefined): ExactObject {
  if (type instanceof Map) return type.has('type') ? new Map(type) : schema('object');
  if (Array.isArray(type)) return schema('array');
  if (typeof type !== 'string') return schema('string');
  const text = strip(type);
  const primitive = PRIMITIVES.get(text.toLowerCase());
  if (primitive !== undefined) return schema(primitive);
  const items = LIST.exec(text)?.[1];
  if (items !== undefined) return schema('array').set('items', hermesType(items));
  const values = DICT.exec(text)?.[1];
  if (values !== undefined) return schema('object').set('additionalProperties', hermesType(values));
  return schema('string');
}

function schema(type: string): ExactObject {
  return new Map([['type', type]]);
}
