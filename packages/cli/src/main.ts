import { nearestName, type OptionTable, version } from '@gemmatune/base';
import type { Command, Context, Io } from './command.js';
import { COMMANDS } from './commands/index.js';
import { readConfig } from './config-file.js';
import { DONE, exitStatus, explanation, INTERRUPTED } from './exit-status.js';
import { commandHelp, overview } from './help.js';
import { stoppedStatus, withInterrupts } from './interrupts.js';
import { type Call, COMMON_OPTIONS, type Grammar, inFlags, parseWords, settle, UsageError } from './options.js';
import { write } from './output.js';

/**
 * The command line: runs one command and tells how it ended.
 * @param argv the words after the program's name
 * @param io the process's own streams and Ctrl-C by default
 * @returns the exit status: 0 done, 1 the work failed, 2 the call or an input is wrong, 4 training diverged, 75 asked to make room, 130 interrupted
 */
export function main(argv: readonly string[], io?: Io): Promise<number> {
  return io ? run(argv, io) : withInterrupts((own) => run(argv, own));
}

async function run([name = '--help', ...words]: readonly string[], io: Io): Promise<number> {
  if (name === 'help' && words.length > 0) return run([words[0]!, '--help'], io);
  let verbose = words.includes('--verbose');
  let speaker = Object.hasOwn(COMMANDS, name) ? `gemmatune ${name}` : 'gemmatune';
  let options: OptionTable = {};
  try {
    if (['--help', '-h', 'help'].includes(name)) {
      await write(io.stdout, overview(COMMANDS, await version()));
      return DONE;
    }
    if (['--version', '-V'].includes(name)) {
      await write(io.stdout, `${await version()}\n`);
      return DONE;
    }
    if (!Object.hasOwn(COMMANDS, name)) {
      const nearest = nearestName(name, Object.keys(COMMANDS));
      const hint = nearest === undefined ? 'gemmatune --help lists them' : `did you mean ${nearest}?`;
      throw new UsageError(`'${name}' is no command; ${hint}`);
    }
    const { summary, load } = COMMANDS[name as keyof typeof COMMANDS];
    const command = await load();
    ({ options } = command);
    const grammar: Grammar = { ...command, options: { ...command.options, ...COMMON_OPTIONS } };
    const call: Call = command.passThrough
      ? { given: new Map(), extras: {}, positionals: words }
      : parseWords(words, grammar);
    if (call.given.has('help')) {
      await write(io.stdout, commandHelp(name, summary, command));
      return DONE;
    }
    const configPath = call.given.get('config')?.value as string | undefined;
    const config = configPath === undefined ? undefined : await readConfig(configPath);
    const { values, extras, given } = settle(call, grammar, config, configPath);
    verbose = values.verbose === true;
    if (!command.passThrough) checkPositionals(name, command, call.positionals);
    const context: Context = {
      ...io,
      words,
      verbose,
      json: values.json === true,
      extras,
      given,
      label: (text) => {
        speaker = `gemmatune ${name} ${text}`;
      },
      note: (line) => void io.stderr.write(`${inFlags(line, command.options)}\n`),
      print: (text) => write(io.stdout, text),
    };
    return (await command.run(values, context, call.positionals)) ?? DONE;
  } catch (error) {
    if (io.signal.aborted && exitStatus(error) === INTERRUPTED) {
      io.stderr.write(`${speaker}: interrupted\n`);
      return stoppedStatus(io.signal);
    }
    io.stderr.write(`${speaker}: ${inFlags(explanation(error, verbose), options)}\n`);
    return exitStatus(error);
  }
}

function checkPositionals(name: string, { positionals = [], usage }: Command, found: readonly string[]): void {
  const call = `expected: gemmatune ${name} ${usage}`.trimEnd();
  const missing = positionals[found.length];
  if (missing !== undefined) throw new UsageError(`${missing} is missing, ${call}`);
  const extra = found[positionals.length];
  if (extra !== undefined) throw new UsageError(`found the word '${extra}', ${call}`);
}
