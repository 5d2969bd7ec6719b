/** From words of the command line and keys of a configuration file to checked option values. */
import { flag, InputError, nearestName, type Option, type OptionTable, shown, text } from '@gemmatune/base';

/** The call itself is wrong. */
export class UsageError extends InputError {}

/** Options of every command. */
export const COMMON_OPTIONS = {
  json: flag('Print the result as one JSON document on stdout.'),
  config: text('Options from a file: JSON, or the default export of a JavaScript or TypeScript module.'),
  verbose: flag('Say more on stderr, with stack traces of errors.'),
  help: flag('Show this text.'),
} satisfies OptionTable;

/** What a call gives, before it is merged with a configuration file. */
export interface Call {
  /** By canonical option name. `as` is how it was written. */
  given: Map<string, { value: unknown; as: string }>;
  extras: Record<string, unknown>;
  positionals: string[];
}

export interface Grammar {
  options: OptionTable;
  aliases?: Readonly<Record<string, string>>;
  alsoAccepts?: readonly string[];
}

export const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const camel = (name: string): string => name.replace(/[-_]([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
const snake = (name: string): string => name.replaceAll('-', '_');

/** Our name for a name as it was written: kebab, camel or snake case, ours or TRL's; undefined where there is none. */
function canonical(name: string, { options, aliases = {}, alsoAccepts = [] }: Grammar): string | undefined {
  if (Object.hasOwn(options, camel(name))) return camel(name);
  if (Object.hasOwn(aliases, snake(name))) return aliases[snake(name)];
  return alsoAccepts.includes(snake(name)) ? snake(name) : undefined;
}

/**
 * Reads the words after a command's name. `--name value`, `--name=value`; a switch needs no value, and `--no-name` turns it off.
 * @throws UsageError naming the option, what was found and what was expected
 */
export function parseWords(words: readonly string[], grammar: Grammar): Call {
  const call: Call = { given: new Map(), extras: {}, positionals: [] };
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (!word.startsWith('-') || word === '-') {
      call.positionals.push(word);
      continue;
    }
    if (word === '--') {
      call.positionals.push(...words.slice(i + 1));
      break;
    }
    const as = word === '-h' ? '--help' : word.split('=', 1)[0]!;
    const inline = word.includes('=') ? word.slice(word.indexOf('=') + 1) : undefined;
    const { name, negated } = lookUp(as, grammar);
    const option = grammar.options[name];
    const next = words[i + 1];

    let value: unknown;
    if (negated) {
      if (inline !== undefined) throw new UsageError(`${as}: found the value '${inline}', expected none.`);
      value = false;
    } else if (inline !== undefined) value = option ? fromText(option, inline) : anyValue(inline);
    else if (option === undefined || option.accepts(true)) {
      const takesNext =
        next !== undefined && !next.startsWith('-') && (isBoolean(next) || !option || option.accepts(next));
      value = takesNext ? (option ? fromText(option, words[++i]!) : anyValue(words[++i]!)) : true;
    } else if (next === undefined || (next.startsWith('--') && next.length > 2))
      throw new UsageError(`${as} has no value, expected ${option.expected}.`);
    else value = fromText(option, words[++i]!);

    if (option) {
      check(option, value, as);
      call.given.set(name, { value, as });
    } else call.extras[name] = value;
  }
  return call;
}

function lookUp(as: string, grammar: Grammar): { name: string; negated: boolean } {
  const written = as.replace(/^--?/, '');
  const name = as.startsWith('--') ? canonical(written, grammar) : undefined;
  if (name !== undefined) return { name, negated: false };
  const positive = written.startsWith('no-') ? canonical(written.slice(3), grammar) : undefined;
  if (positive !== undefined && grammar.options[positive]?.accepts(false)) return { name: positive, negated: true };
  throw new UsageError(
    `${as} is no option of this command; ${suggestion(written, grammar, (known) => `--${kebab(known)}`)}.`,
  );
}

function suggestion(written: string, { options, aliases = {} }: Grammar, show: (name: string) => string): string {
  const names = [...Object.keys(options), ...Object.keys(aliases)];
  const nearest = nearestName(written, names);
  return nearest === undefined ? 'see --help for those it has' : `did you mean ${show(aliases[nearest] ?? nearest)}`;
}

/** A sentence of the packages, which name options `likeThis`, in the words of the command line. */
export const inFlags = (sentence: string, options: OptionTable): string =>
  sentence.replace(/`(\w+)`/g, (_, name: string) => (Object.hasOwn(options, name) ? `--${kebab(name)}` : name));

const isBoolean = (word: string): boolean => /^(true|false)$/i.test(word);

/** A word as the option's type: true/false, a number, or itself; the first of these that the option accepts. */
function fromText(option: Option<unknown>, word: string): unknown {
  const candidates: unknown[] = isBoolean(word) ? [word.toLowerCase() === 'true'] : [];
  if (word.trim() !== '' && Number.isFinite(Number(word))) candidates.push(Number(word));
  return [...candidates, word].find((value) => option.accepts(value)) ?? word;
}

/** A word whose option is not known here: as JSON would have it. */
function anyValue(word: string): unknown {
  if (isBoolean(word)) return word.toLowerCase() === 'true';
  return word.trim() !== '' && Number.isFinite(Number(word)) ? Number(word) : word;
}

/** @throws UsageError */
function check(option: Option<unknown>, value: unknown, as: string): void {
  if (option.accepts(value)) return;
  throw new UsageError(`${as}: found ${shown(value)}, expected ${option.expected}.`);
}

/**
 * The values of all options: the call's words win over the configuration's keys, and these over the defaults.
 * @param config content of the configuration file at `configPath`
 * @throws UsageError naming the key or option
 */
export function settle(
  call: Call,
  grammar: Grammar,
  config: Readonly<Record<string, unknown>> = {},
  configPath = '',
): { values: Record<string, unknown>; extras: Record<string, unknown>; given: Set<string> } {
  const values: Record<string, unknown> = Object.fromEntries(
    Object.entries(grammar.options).map(([name, option]) => [name, option.default]),
  );
  const extras: Record<string, unknown> = {};
  const given = new Set<string>();
  for (const [key, value] of Object.entries(config)) {
    const name = canonical(key, grammar);
    if (name === undefined)
      throw new UsageError(
        `${configPath}: ${key} is no option of this command; ${suggestion(key, grammar, (known) => known)}.`,
      );
    if (given.has(name))
      throw new UsageError(`${configPath}: ${key} is given a second time under another name (${name}).`);
    given.add(name);
    const option = grammar.options[name];
    if (option) {
      check(option, value, `${configPath}: ${key}`);
      values[name] = value;
    } else extras[name] = value;
  }
  for (const [name, { value }] of call.given) {
    given.add(name);
    values[name] = value;
  }
  Object.assign(extras, call.extras);
  for (const [name, option] of Object.entries(grammar.options))
    if (option.required && !given.has(name))
      throw new UsageError(`--${kebab(name)} is missing, expected ${option.expected}.`);
  return { values, extras, given };
}
