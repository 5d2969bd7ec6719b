import type { Option, OptionTable } from '@gemmatune/base';
import type { Command } from './command.js';
import { COMMON_OPTIONS, inFlags, kebab } from './options.js';

/** The text of `gemmatune --help`. */
export function overview(commands: Readonly<Record<string, { summary: string }>>, version: string): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    `gemmatune ${version}: fine-tune FunctionGemma for function calling`,
    '',
    'Usage: gemmatune COMMAND [options]',
    '',
    ...lines,
    '',
    'gemmatune help COMMAND tells the options of a command. Start with: gemmatune quickstart',
    '',
  ].join('\n');
}

/** The text of `gemmatune COMMAND --help`. */
export function commandHelp(name: string, summary: string, { usage, options, notes = [] }: Command): string {
  return [
    summary,
    '',
    `Usage: gemmatune ${name} ${usage}`.trimEnd(),
    '',
    ...optionLines({ ...options, ...COMMON_OPTIONS }),
    ...(notes.length > 0 ? ['', ...notes] : []),
    '',
  ].join('\n');
}

function optionLines(options: OptionTable): string[] {
  const entries = Object.entries(options).map(([name, option]) => [`--${kebab(name)}`, option] as const);
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries.map(([name, option]) => {
    const text = `${option.help}${valuesOf(option)}${fallbackOf(option)}`;
    return `  ${name.padEnd(width)}  ${inFlags(text, options)}`;
  });
}

const valuesOf = ({ values = [] }: Option<unknown>): string => (values.length > 1 ? ` (${values.join(', ')})` : '');

function fallbackOf({ default: fallback, shownDefault, required }: Option<unknown>): string {
  if (required) return ' Required.';
  if (shownDefault !== undefined) return ` [${shownDefault}]`;
  return fallback === null || typeof fallback === 'boolean' ? '' : ` [${fallback}]`;
}
