/**
 * Tools with phrasings, and rows drawn from them.
 *
 * A phrasing is text with slots: `{city}` draws a value of the parameter `city` and writes it, `{on=true}` sets a value and writes
 * nothing. Parameters without a slot are left out of the call. So the gold call is known by construction of the request; whether a
 * model finds it is another matter.
 */
import { exactJson, printExactJson } from '../../packages/schema/dist/index.js';

/** A string that the request names; `draw(random, heldOut)` gives it. */
export const text = (description, draw) => ({ schema: { type: 'string', description }, draw });

/** A whole number, written in digits. */
export const integer = (description, from, to, step = 1) => ({
  schema: { type: 'integer', description },
  draw: (random) => from + step * random.integer(0, Math.floor((to - from) / step)),
});

/** A truth value; phrasings set it with `{name=true}`. */
export const boolean = (description) => ({ schema: { type: 'boolean', description } });

/** One of a few words. */
export const choice = (description, values) => ({
  schema: { type: 'string', description, enum: values },
  draw: (random) => random.pick(values),
});

/** The parameter may be left out of a call. */
export const optional = (parameter) => ({ ...parameter, optional: true });

/** A drawn value that the request says in other words: "half past seven" for 07:30. */
export class Said {
  constructor(words, value) {
    this.words = words;
    this.value = value;
  }
}

const SLOT = /\{(\w+)(?:=([^}]*))?\}/g;

/**
 * @param phrasings texts with slots
 * @throws Error where a phrasing names an unknown parameter or leaves out a required one
 */
export function tool(name, description, parameters, phrasings) {
  const required = Object.keys(parameters).filter((key) => !parameters[key].optional);
  for (const phrasing of phrasings) {
    const slots = Array.from(phrasing.matchAll(SLOT), ([, slot]) => slot);
    const unknown = slots.find((slot) => !Object.hasOwn(parameters, slot));
    const missing = required.find((key) => !slots.includes(key));
    if (unknown ?? missing)
      throw new Error(`${name}: "${phrasing}" ${unknown ? 'names' : 'lacks'} ${unknown ?? missing}`);
  }
  const properties = Object.fromEntries(Object.entries(parameters).map(([key, { schema }]) => [key, schema]));
  const declaration = {
    type: 'function',
    function: { name, description, parameters: { type: 'object', properties, required } },
  };
  return { name, parameters, declaration, phrasings };
}

/** A request in the words of one phrasing, and the call it asks for; `heldOut` draws the values kept for evaluation. */
export function ask({ parameters }, phrasing, random, heldOut = false) {
  const given = {};
  const request = phrasing
    .replace(SLOT, (_, name, fixed) => {
      const { schema, draw } = parameters[name];
      if (fixed === undefined) {
        const drawn = draw(random, heldOut);
        given[name] = drawn instanceof Said ? drawn.value : drawn;
        return drawn instanceof Said ? drawn.words : drawn;
      }
      given[name] = schema.type === 'string' ? fixed : JSON.parse(fixed);
      return '';
    })
    .replace(/ +/g, ' ')
    .trim();
  // Arguments in the order of the declaration.
  const names = Object.keys(parameters).filter((name) => Object.hasOwn(given, name));
  return { request, args: Object.fromEntries(names.map((name) => [name, given[name]])) };
}

/** A row in the layout of `prepare`: the wanted tool among others on offer, in any order. */
export function row(wanted, request, args, others, random) {
  return {
    user_content: request,
    tool_name: wanted.name,
    tool_arguments: printExactJson(exactJson(args)),
    hf_tools: random.shuffle([wanted, ...others]).map(({ declaration }) => declaration),
  };
}
