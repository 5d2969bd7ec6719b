import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { InputError } from '@gemmatune/base';
import { command } from '../command.js';

/** The benchmarks stay in the repository: they compare with programs that this one does not depend on. */
const FOLDER = new URL('../../../../bench/', import.meta.url);

export const bench = command({
  usage: '[suite] [options]',
  options: {},
  passThrough: true,
  async run(_options, _context, words) {
    if (!(await inCheckout()))
      throw new InputError(
        'The benchmarks are in the folder bench/ of the repository; this is an installed copy without it. Clone the repository and run npm run bench -- there.',
      );
    const child = spawn(process.execPath, [fileURLToPath(new URL('bench.mjs', FOLDER)), ...words], {
      stdio: 'inherit',
    });
    // Ctrl-C reaches both from the terminal; SIGTERM comes to this process alone.
    const pass = () => child.kill('SIGTERM');
    process.on('SIGTERM', pass);
    try {
      return await new Promise<number>((done, failed) => {
        child.on('error', failed).on('close', (status) => done(status ?? 1));
      });
    } finally {
      process.off('SIGTERM', pass);
    }
  },
});

/** Whether the folder is ours: an installed copy may lie where another project has a bench/ of its own. */
async function inCheckout(): Promise<boolean> {
  try {
    const { name } = JSON.parse(await readFile(new URL('package.json', FOLDER), 'utf8')) as { name?: string };
    return name === '@gemmatune/bench';
  } catch {
    return false;
  }
}
