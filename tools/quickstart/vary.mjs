/**
 * The same tool under another name. Names change from row to row, so the base model cannot learn them by heart: it has to read them,
 * and those of the parameters, in the declarations.
 */
import { invented } from './words.mjs';

const SYNONYMS = Object.fromEntries(
  `get fetch read load; find search locate lookup; search find lookup query; book reserve request arrange; create make new open;
  check show read get; send write submit; track follow locate; cancel stop drop; review rate judge; order request buy; log note record
  save; run start execute; start begin open launch; convert change transform; define explain describe; register enter add; plan
  prepare arrange; share send give; deploy release ship; restart reboot reset; pay settle; transfer send move; rent hire; assign give
  hand; schedule plan set; resize scale shrink; roll throw; measure compute; enroll add enter; grade mark score; translate convert;
  weather forecast climate; flight plane trip; hotel room stay; car vehicle; train rail; city town place location; days period count;
  nights days count; origin source start from; destination target goal to; passengers people seats count; kind type category; amount sum
  value total; people persons guests; recipient receiver person to; company firm payee; query text words term; product item article;
  order number id reference; stars rating points; file document path name; limit count rows; subject title topic about;
  title name heading; task job todo; person user member; language lang tongue; day date weekday; minutes duration length; time hour
  at; service app system; stage environment target; host machine node; name label id; package module library; priority urgency level;
  topic theme subject; questions count number; student pupil learner; course class lesson; word term expression; genre style kind; year
  date; species animal kind; count number quantity; size format; account place; street road address; hours duration; balance state;
  bill invoice; directions route way; parking garage; meeting event; email mail; ticket issue`
    .split(';')
    .map((group) => group.trim().split(/\s+/))
    .map(([word, ...others]) => [word, others]),
);

const renamed = (name, random) =>
  name
    .split('_')
    .map((part) => (random.chance(0.4) && SYNONYMS[part] ? random.pick(SYNONYMS[part]) : part))
    .join('_');

/** @returns the tool renamed, and the new name of each parameter */
export function vary(tool, random) {
  const keys = new Map();
  for (const key of Object.keys(tool.parameters)) {
    const name = renamed(key, random);
    keys.set(key, [...keys.values()].includes(name) || Object.hasOwn(tool.parameters, name) ? key : name);
  }
  const rename = (entries) => entries.map(([key, value]) => [keys.get(key), value]);
  const { description, parameters } = tool.declaration.function;
  const name = random.chance(0.08) ? `${invented(random)}_${tool.name.split('_').at(-1)}` : renamed(tool.name, random);
  const declaration = {
    type: 'function',
    function: {
      name,
      description,
      parameters: {
        type: 'object',
        properties: Object.fromEntries(rename(Object.entries(parameters.properties))),
        required: parameters.required.map((key) => keys.get(key)),
      },
    },
  };
  return {
    tool: { ...tool, name, declaration },
    renameArguments: (args) => Object.fromEntries(rename(Object.entries(args))),
  };
}
