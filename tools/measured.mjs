// A program run as a person would, with what it took.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

const TICKS_PER_SECOND = 100; // of /proc, on every Linux

/** @returns what a process has taken so far, or undefined where it has ended */
function usage(pid) {
  try {
    const peak = readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmHWM:\s+(\d+) kB/);
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return (
      peak && {
        peakBytes: Number(peak[1]) * 1024,
        cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
      }
    );
  } catch {
    return undefined;
  }
}

/**
 * Runs a program to its end, or to ours; Linux only. Memory and CPU time are read four times a second, so those of the last quarter may be missing.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ env?: Record<string, string> }} options `env` is added to ours
 * @returns {Promise<{ stdout: string, seconds: number, cpuSeconds: number, peakBytes: number }>}
 * @throws Error with the end of its standard error where it fails
 */
export async function measured(command, args, { env = {} } = {}) {
  const start = performance.now();
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  running.add(child);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => {
    stdout += text;
  });
  child.stderr.on('data', (text) => {
    stderr = (stderr + text).slice(-2000);
  });
  let used = { cpuSeconds: 0, peakBytes: 0 };
  const watch = setInterval(() => {
    used = usage(child.pid) ?? used;
  }, 250);
  try {
    const status = await new Promise((done, fail) => {
      child.on('close', done).on('error', fail);
    });
    if (status !== 0) throw new Error(`${basename(command)} ${args.join(' ')}: status ${status}\n${stderr}`);
  } finally {
    clearInterval(watch);
    running.delete(child);
  }
  return { stdout, seconds: (performance.now() - start) / 1000, ...used };
}

/** Words of a command line. @param {Record<string, unknown>} options in camel case; `true` is a switch, `false` its opposite */
export const words = (options) =>
  Object.entries(options).flatMap(([name, value]) => {
    const option = name.replaceAll(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
    if (typeof value === 'boolean') return [value ? `--${option}` : `--no-${option}`];
    return [`--${option}`, String(value)];
  });
