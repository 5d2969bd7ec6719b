/** Exit statuses, and which failure has which. */
import { isSystemError } from '@gemmatune/base';

export const DONE = 0;
/** The work failed. */
export const FAILED = 1;
/** The call or an input is wrong. */
export const WRONG_INPUT = 2;
/** The numbers of the training ran away: the same call would fail again, and another learning rate may not. */
export const DIVERGED = 4;
/** Asked to make room (SIGTERM, SIGUSR1, SIGUSR2): the same call goes on where this one stopped. sysexits.h calls it EX_TEMPFAIL. */
export const PREEMPTED = 75;
/** Ctrl-C. */
export const INTERRUPTED = 130;

/** Known failures that are not the caller's: the work itself went wrong. */
const FAILURES = new Set([
  'ERR_GEMMATUNE_NATIVE',
  'ERR_GEMMATUNE_INTERNAL',
  'ERR_GEMMATUNE_MEMORY',
  'ERR_GEMMATUNE_BUSY',
  'ERR_GEMMATUNE_CLOSED',
  'ERR_GEMMATUNE_RANK',
  'ERR_GEMMATUNE_OUTPUT',
  'ERR_GEMMATUNE_HUB_SERVER',
  'ERR_GEMMATUNE_HUB_CORRUPT',
]);

export function exitStatus(error: unknown): number {
  if (!(error instanceof Error)) return FAILED;
  const code = (error as NodeJS.ErrnoException).code;
  if (error.name === 'AbortError' || code === 'ABORT_ERR' || code === 'ERR_GEMMATUNE_CANCELLED') return INTERRUPTED;
  if (code === 'ERR_GEMMATUNE_DIVERGED') return DIVERGED;
  if (code?.startsWith?.('ERR_GEMMATUNE_')) return FAILURES.has(code) ? FAILED : WRONG_INPUT;
  return isSystemError(error) ? WRONG_INPUT : FAILED;
}

/** What people read: one sentence; with `verbose` the stack and what caused it. */
export function explanation(error: unknown, verbose: boolean): string {
  if (!(error instanceof Error)) return String(error);
  if (verbose)
    return causes(error)
      .map(({ stack, message }) => stack ?? message)
      .join('\ncaused by ');
  const known = exitStatus(error) !== FAILED || 'code' in error;
  return known ? error.message : `${error.name}: ${error.message} (--verbose tells where)`;
}

function causes(error: Error): Error[] {
  return error.cause instanceof Error ? [error, ...causes(error.cause)] : [error];
}
