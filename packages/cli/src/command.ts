/** What a command is and what it may touch: its options, the three streams, and the signal that asks it to stop. */
import type { Readable, Writable } from 'node:stream';
import type { OptionTable, ValuesOf } from '@gemmatune/base';

/** A stream people may be watching: a terminal knows its width. */
export type Screen = Writable & { isTTY?: boolean; columns?: number };

export interface Io {
  stdin: Readable;
  stdout: Screen;
  stderr: Screen;
  /** Aborts on the first Ctrl-C, SIGTERM, SIGUSR1 or SIGUSR2. */
  signal: AbortSignal;
}

export interface Context extends Io {
  /** The call itself: all words after the command's name. */
  words: readonly string[];
  verbose: boolean;
  /** Stdout is to be one JSON document. */
  json: boolean;
  /** Names given that are no options of the command but of its kin (`Command.alsoAccepts`), with their values. */
  extras: Readonly<Record<string, unknown>>;
  /** Names of the options that were given, by the call or by --config. */
  given: ReadonlySet<string>;
  /** What is put behind the command's name where it fails: which of several processes this is. */
  label(text: string): void;
  /** One line for people, on stderr. */
  note(line: string): void;
  /** Results, on stdout. */
  print(text: string): Promise<void>;
}

export interface Command<T extends OptionTable = OptionTable> {
  /** What follows the name, e.g. `--model M [--in FILE]`. */
  usage: string;
  /** Lines below the options in `--help`. */
  notes?: readonly string[];
  /** Names of the words that are no options, in order, e.g. `['DIR']`. All of them must be given. */
  positionals?: readonly string[];
  options: T;
  /** Other names for options, such as TRL's. */
  aliases?: Readonly<Record<string, string>>;
  /** Names that the command judges itself: see `Context.extras`. */
  alsoAccepts?: readonly string[];
  /** Words are not read here: all of them, --help too, reach `run` as positionals. */
  passThrough?: true;
  /** @returns the exit status; 0 where nothing is returned */
  run(options: ValuesOf<T>, context: Context, positionals: readonly string[]): Promise<number | undefined>;
}

/** Ties the type of `run`'s options to the table. The registry holds commands of every table, so the type is let go here. */
export function command<const T extends OptionTable>(definition: Command<T>): Command {
  return definition as unknown as Command;
}
