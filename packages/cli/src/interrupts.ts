import type { Io } from './command.js';
import { DONE, INTERRUPTED } from './exit-status.js';

/**
 * Runs `body` on the process's own streams. The first Ctrl-C (or SIGTERM) asks it to stop cleanly, the second ends the process at
 * once. A reader of stdout that has seen enough (`| head`) ends it quietly.
 */
export async function withInterrupts(body: (io: Io) => Promise<number>): Promise<number> {
  const controller = new AbortController();
  const interrupt = () => {
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    process.stderr.write('\nStopping; once more to stop at once.\n');
    controller.abort();
  };
  const onPipe = (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(DONE);
  };
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  process.stdout.on('error', onPipe);
  try {
    const { stdin, stdout, stderr } = process;
    return await body({ stdin, stdout, stderr, signal: controller.signal });
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    process.stdout.off('error', onPipe);
  }
}
