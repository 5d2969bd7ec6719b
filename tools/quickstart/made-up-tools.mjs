/**
 * Tools put together from a verb, a noun and a few parameters. There is no end of them, so all a model can learn here is to find the
 * tool whose declaration has the words of the request.
 */
import { ask, boolean, choice, integer, optional, text, tool } from './grammar.mjs';
import * as words from './words.mjs';

const capital = (word) => word[0].toUpperCase() + word.slice(1);

const TEXTS = [
  ['name', words.firstName],
  ['person', words.person],
  ['city', words.city],
  ['title', words.title],
  ['label', words.thing],
  ['note', words.phrase],
  ['message', words.sentence],
  ['subject', words.thing],
  ['place', words.thing],
  ['item', words.thing],
  ['code', words.code],
  ['file', words.file],
  ['time', words.clock],
  ['day', words.weekday],
  ['target', words.identifier],
];
const NUMBERS = [
  'count',
  'size',
  'level',
  'speed',
  'amount',
  'weight',
  'length',
  'height',
  'points',
  'minutes',
  'hours',
  'percent',
  'width',
];
const LINKS = ['to', 'for', 'with', 'at', 'in', 'by', 'on', 'as', 'from'];

/** A parameter and how a request gives it. */
function parameter(random, taken) {
  const kind = random.next();
  const free = (names) => random.pick(names.filter((name) => !taken.has(name)));
  if (kind < 0.5) {
    const [key, draw] = random.pick(TEXTS.filter(([name]) => !taken.has(name)));
    const forms = [
      `${random.pick(LINKS)} {${key}}`,
      `${random.pick(LINKS)} ${key} {${key}}`,
      `: {${key}}`,
      `${random.pick(LINKS)} the {${key}}`,
    ];
    return { key, value: text(capital(key), draw), forms };
  }
  if (kind < 0.75) {
    const key = free(NUMBERS);
    return {
      key,
      value: integer(`${capital(key)} of it`, 0, random.pick([10, 100, 1000])),
      forms: [`${random.pick(LINKS)} {${key}} ${key}`, `with ${key} {${key}}`, `${random.pick(LINKS)} {${key}}`],
    };
  }
  if (kind < 0.9) {
    const key = free(['mode', 'kind', 'state', 'colour', 'style', 'side']);
    const values = Array.from({ length: random.integer(2, 4) }, () => words.noun(random));
    return {
      key,
      value: choice(`Which ${key}`, [...new Set(values)]),
      forms: [`in {${key}} ${key}`, `${random.pick(LINKS)} {${key}}`, `, {${key}}`],
    };
  }
  const key = words.verb(random);
  if (taken.has(key)) return parameter(random, taken);
  const yes = random.chance(0.5);
  return {
    key,
    value: boolean(`Also ${key} it`),
    forms: [yes ? `and ${key} it {${key}=true}` : `but do not ${key} it {${key}=false}`],
  };
}

/** A new tool, and one request that it answers. */
export function madeUpTool(random) {
  const [verb, noun] = [
    random.chance(0.9) ? words.verb(random) : words.invented(random),
    random.chance(0.85) ? words.noun(random) : words.invented(random),
  ];
  const parameters = {};
  const taken = new Set();
  let phrasing = random.pick([
    `${verb} the ${noun}`,
    `${verb} ${noun}`,
    `${verb} my ${noun}`,
    `I want to ${verb} the ${noun}`,
    `the ${noun} should ${verb}`,
    `${noun} to ${verb}`,
  ]);
  for (let i = random.integer(1, 3); i > 0; i--) {
    const { key, value, forms } = parameter(random, taken);
    taken.add(key);
    const left = random.chance(0.2);
    parameters[key] = left ? optional(value) : value;
    if (!left || random.chance(0.5)) phrasing += ` ${random.pick(forms)}`.replace(/ ([:,])/, '$1');
  }
  const name = random.pick([`${verb}_${noun}`, `${verb}_${noun}`, `${verb}_${noun}`, `${noun}_${verb}`]);
  const description = random.pick([
    `${capital(verb)} a ${noun}`,
    `${capital(verb)} the ${noun} of somebody`,
    `Used to ${verb} some ${noun}`,
  ]);
  const made = tool(name, description, parameters, [phrasing]);
  return { tool: made, ...ask(made, phrasing, random) };
}
