/** How FunctionGemma's template writes a tool declaration and an argument, quirks included. */
import { GemmatuneError, shown } from '@gemmatune/base';
import { type Json, JsonNumber, type JsonObject } from '@gemmatune/schema';
import type { TemplateTool } from '../conversation.js';
import { dictsort, isMapping, isTruthy, item, iterate, type Printable, text, upper } from './python.js';

/** The template cannot render this input; the reference raises an exception here too. */
export class TemplateError extends GemmatuneError<'ERR_GEMMATUNE_TEMPLATE'> {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_GEMMATUNE_TEMPLATE', message, options);
  }
}

/** Property names that the template takes for keywords of the schema and leaves out wherever they occur. */
export const KEYWORDS: ReadonlySet<string> = new Set(['description', 'type', 'properties', 'required', 'nullable']);

const escaped = (value: string) => `<escape>${value}<escape>`;

/** `declaration:NAME{…}`, what stands between the declaration tokens. */
export function formatDeclaration(tool: TemplateTool): string {
  const declared = tool.function;
  if (!isMapping(declared)) throw new TemplateError(`A tool has no "function" object, found ${shown(tool)}.`);
  return `declaration:${text(declared.name)}{description:${escaped(text(declared.description))}${formatSchema(declared.parameters)}}`;
}

function formatSchema(schema: Printable): string {
  if (!isTruthy(schema)) return '';
  const properties = item(schema, 'properties');
  const required = item(schema, 'required');
  const type = item(schema, 'type');
  let out = ',parameters:{';
  if (isTruthy(properties)) out += `properties:{${formatProperties(properties, 'parameters.properties')}},`;
  if (isTruthy(required)) out += `required:[${formatNames(required, 'parameters.required')}],`;
  // Without a type the brace stays open: so does the reference.
  if (isTruthy(type)) out += `type:${escaped(upper(type))}}`;
  return out;
}

function formatProperties(properties: Printable, where: string): string {
  if (!isMapping(properties)) throw new TemplateError(`${where} is ${shown(properties)}, expected an object.`);
  return dictsort(properties)
    .filter(([name]) => !KEYWORDS.has(name))
    .map(([name, property]) => `${name}:{${formatProperty(property, `${where}.${name}`)}}`)
    .join(',');
}

function formatProperty(property: Json, where: string): string {
  const type = upper(item(property, 'type'));
  let out = `description:${escaped(text(item(property, 'description')))}`;
  if (type === 'STRING') {
    const choices = item(property, 'enum');
    if (isTruthy(choices)) out += `,enum:${formatArgument(choices!, true)}`;
  } else if (type === 'OBJECT') {
    const properties = item(property, 'properties');
    // An object without properties prints its other keywords as if they were properties.
    const nested = isMapping(properties) ? properties : property;
    out += `,properties:{${formatProperties(nested, `${where}.properties`)}}`;
    const required = item(property, 'required');
    if (isTruthy(required)) out += `,required:[${formatNames(required, `${where}.required`)}]`;
  } else if (type === 'ARRAY') {
    const items = item(property, 'items');
    if (isMapping(items) && isTruthy(items)) out += `,items:{${formatItems(items, `${where}.items`)}}`;
  }
  return `${out},type:${escaped(type)}`;
}

function formatItems(items: JsonObject, where: string): string {
  return dictsort(items)
    .filter(([, value]) => value !== null)
    .map(([key, value]) => {
      if (key === 'properties')
        return `properties:{${isMapping(value) ? formatProperties(value, `${where}.properties`) : ''}}`;
      if (key === 'required') return `required:[${formatNames(value, `${where}.required`)}]`;
      if (key === 'type')
        return `type:${formatArgument(typeof value === 'string' ? upper(value) : upperItems(value, where), true)}`;
      return `${key}:${formatArgument(value, true)}`;
    })
    .join(',');
}

function upperItems(value: Printable, where: string): Json[] {
  const items = iterate(value);
  if (!items) throw new TemplateError(`${where}.type is ${text(value)}, expected a text or a list.`);
  return items.map(upper);
}

function formatNames(names: Printable, where: string): string {
  const items = iterate(names);
  if (!items) throw new TemplateError(`${where} is ${text(names)}, expected a list of names.`);
  return items.map((name) => escaped(text(name))).join(',');
}

/**
 * A value as calls, responses and declarations write it. Nothing inside `<escape>` pairs is escaped.
 * @param escapeKeys keys of objects in `<escape>` pairs too (declarations), or bare (calls and responses)
 */
export function formatArgument(value: Json, escapeKeys: boolean): string {
  if (typeof value === 'string') return escaped(value);
  if (typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return `[${value.map((entry) => formatArgument(entry, escapeKeys)).join(',')}]`;
  if (value === null || typeof value === 'number' || value instanceof JsonNumber) return text(value);
  const entries = dictsort(value).map(
    ([key, entry]) => `${escapeKeys ? escaped(key) : key}:${formatArgument(entry, escapeKeys)}`,
  );
  return `{${entries.join(',')}}`;
}

/** `{k:v,…}` with bare keys: the arguments of a call, the values of a response. */
export function formatFields(fields: JsonObject): string {
  return formatArgument(fields, false);
}
