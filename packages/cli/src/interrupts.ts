import type { Io } from './command.js';
import { DONE, INTERRUPTED, PREEMPTED } from './exit-status.js';

/** What asks a process to stop: Ctrl-C, or an engine that wants its machine back. */
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2'] as const;
export type StopSignal = (typeof STOP_SIGNALS)[number];

/** The reason of an aborted `Io.signal`. */
export class Stopped extends Error {
  override readonly name = 'AbortError';
  readonly signal: StopSignal;
  constructor(signal: StopSignal) {
    super(`stopped by ${signal}`);
    this.signal = signal;
  }
}

/** The exit status of work that `signal` ended: Ctrl-C says that it is not wanted, any other reason that it is to go on elsewhere. */
export function stoppedStatus({ reason }: AbortSignal): number {
  return reason instanceof Stopped && reason.signal !== 'SIGINT' ? PREEMPTED : INTERRUPTED;
}

/** From a launcher to a rank that it has forked. */
export interface StopMessage {
  stop: StopSignal;
}

/** Time that a rank has to stop after its launcher is gone. */
const ORPHAN_MS = 20_000;

/**
 * Runs `body` on the process's own streams. The first signal asks it to stop cleanly, a second Ctrl-C ends the process at once. A
 * reader of stdout that has seen enough (`| head`) ends it quietly. SIGUSR1 is taken because Node would open its inspector.
 * @param forked this process is a rank that a launcher of this program forked: the launcher decides for all of them
 */
export async function withInterrupts(
  body: (io: Io) => Promise<number>,
  forked = process.channel !== undefined && process.env.GEMMATUNE_RUN !== undefined,
): Promise<number> {
  const controller = new AbortController();
  const stop = (signal: StopSignal) => {
    if (!controller.signal.aborted) controller.abort(new Stopped(signal));
  };
  const interrupt = (signal: StopSignal) => {
    // Ctrl-C reaches all processes of a terminal, and the launcher passes it on: a rank must not take that for a second one.
    if (forked && signal === 'SIGINT') return;
    if (controller.signal.aborted) {
      if (signal === 'SIGINT') process.exit(INTERRUPTED);
      return;
    }
    if (!forked) process.stderr.write(`\nStopping${signal === 'SIGINT' ? '; once more to stop at once' : ''}.\n`);
    stop(signal);
  };
  const onPipe = (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(DONE); // any other failure reaches the one who writes
  };
  const onScreen = () => {}; // work does not end because nobody looks any more
  const onMessage = (message: unknown) => stop((message as StopMessage).stop);
  const onOrphaned = () => {
    stop('SIGTERM');
    // Nothing may outlive its launcher, not even a call into the core that does not return.
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), ORPHAN_MS).unref();
  };

  for (const signal of STOP_SIGNALS) process.on(signal, interrupt);
  process.stdout.on('error', onPipe);
  process.stderr.on('error', onScreen);
  if (forked) {
    process.on('message', onMessage).on('disconnect', onOrphaned);
    process.channel?.unref(); // listening must not keep a rank alive that is done
    if (!process.connected) onOrphaned();
  }
  try {
    const { stdin, stdout, stderr } = process;
    return await body({ stdin, stdout, stderr, signal: controller.signal });
  } finally {
    for (const signal of STOP_SIGNALS) process.off(signal, interrupt);
    process.stdout.off('error', onPipe);
    process.stderr.off('error', onScreen);
    process.off('message', onMessage).off('disconnect', onOrphaned);
  }
}
