// Programs that are measured run as children: their peak of memory is theirs alone, and a crash is one sentence here.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { isSystemError } from '@gemmatune/base';

/** @import { ChildProcess } from 'node:child_process' */

/** @type {Set<ChildProcess>} */
const running = new Set();

/** Children lead process groups of their own, so that what they start goes with them. @param {ChildProcess} child */
function kill(child) {
  if (child.pid === undefined) return; // it could not be started
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if (!isSystemError(error) || error.code !== 'ESRCH') throw error;
  }
}
process.on('exit', () => running.forEach(kill));

/**
 * Runs a program to its end.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ signal?: AbortSignal, timeoutSeconds?: number, env?: Record<string, string>, cwd?: string }} options `env` is added to ours
 * @returns {Promise<any>} the last line of its standard output that is a JSON object
 * @throws Error with one sentence where it fails, takes too long or prints no such line; the signal's reason once that is aborted
 */
export async function runChild(command, args, { signal, timeoutSeconds = 3600, env = {}, cwd } = {}) {
  signal?.throwIfAborted();
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const output = { stdout: '', stderr: '' };
  for (const name of /** @type {const} */ (['stdout', 'stderr']))
    child[name].setEncoding('utf8').on('data', (text) => {
      output[name] += text;
    });
  let timedOut = false;
  const stop = () => kill(child);
  const timer = setTimeout(() => {
    timedOut = true;
    stop();
  }, timeoutSeconds * 1e3);
  running.add(child);
  signal?.addEventListener('abort', stop);
  try {
    const ended = await new Promise((done) => {
      child.on('error', (error) => done({ error })).on('close', (status, killedBy) => done({ status, killedBy }));
    });
    signal?.throwIfAborted();
    const name = [command, ...args.slice(0, 1)].map((word) => word.split('/').at(-1)).join(' ');
    if (ended.error) throw new Error(`${command} cannot be run: ${ended.error.code ?? ended.error.message}`);
    if (timedOut) throw new Error(`${name} took longer than ${timeoutSeconds} s and was ended`);
    if (ended.status !== 0)
      throw new Error(`${name} failed (${ended.killedBy ?? `status ${ended.status}`}): ${lastError(output.stderr)}`);
    const result = lastJson(output.stdout);
    if (result === undefined) throw new Error(`${name} printed no JSON line at its end`);
    return result;
  } finally {
    clearTimeout(timer);
    running.delete(child);
    signal?.removeEventListener('abort', stop);
  }
}

/**
 * What the scripts of bench/workers print; prepare.mjs, by stage: its Printed.
 * @typedef {{
 *   'attention.mjs': import('../workers/attention.mjs').Printed,
 *   'generate.mjs': import('../workers/generate.mjs').Printed,
 *   'hermes-rows.mjs': import('../workers/hermes-rows.mjs').Printed,
 *   'load.mjs': import('../workers/load.mjs').Printed,
 *   'prepare.mjs': unknown,
 *   'train.mjs': import('../workers/train.mjs').Printed,
 * }} Printed
 */

/**
 * A script of bench/workers in a Node of its own.
 * @template {keyof Printed} Name
 * @param {Name} name its file
 * @param {Readonly<Record<string, string | number | boolean | undefined>>} options as --name value; undefined, '' and false are left
 *   out, true is a switch
 * @param {Parameters<typeof runChild>[2]} [settings]
 * @returns {Promise<Printed[Name]>}
 */
export function runWorker(name, options, settings) {
  const script = fileURLToPath(new URL(`../workers/${name}`, import.meta.url));
  return runChild(process.execPath, [script, ...optionWords(options)], settings);
}

/** Options as words of a command line; see runWorker. @param {Readonly<Record<string, string | number | boolean | undefined>>} options */
export function optionWords(options) {
  return Object.entries(options).flatMap(([name, value]) => {
    if (value === undefined || value === '' || value === false) return [];
    return value === true ? [`--${name}`] : [`--${name}`, String(value)];
  });
}

/** @param {string} text */
function lastJson(text) {
  for (const line of text.split('\n').reverse()) {
    if (!line.startsWith('{')) continue;
    try {
      return JSON.parse(line);
    } catch {
      // A line of a program's own words that begins with a brace.
    }
  }
  return undefined;
}

/** The line that says what went wrong: an error's own (Node prints a stack behind it, Python a traceback before it), else the last. @param {string} stderr */
function lastError(stderr) {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  return (
    lines.findLast((line) => /^[\w.]*(Error|Exception)\b.*:/.test(line)) ??
    lines.at(-1) ??
    'it said nothing'
  ).trim();
}
