import { GemmatuneError, isSystemError } from '@gemmatune/base';

/** Stable codes of everything the engine and the native core can refuse or fail with. */
export const ERROR_CODES = [
  'ERR_GEMMATUNE_ARGUMENT',
  'ERR_GEMMATUNE_SHAPE',
  'ERR_GEMMATUNE_MEMORY',
  'ERR_GEMMATUNE_FILE',
  'ERR_GEMMATUNE_DEVICE',
  'ERR_GEMMATUNE_CANCELLED',
  'ERR_GEMMATUNE_INTERNAL',
  'ERR_GEMMATUNE_BUSY',
  'ERR_GEMMATUNE_CLOSED',
  /** Another rank was lost, or differs from this one. */
  'ERR_GEMMATUNE_RANK',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** A failure with a stable code for programs and one sentence for people. */
export class EngineError extends GemmatuneError<ErrorCode> {}

/** Native errors carry a code; they become EngineError, with the native one as cause. */
function engineError(error: unknown): unknown {
  if (error instanceof EngineError || !(error instanceof Error)) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code?.startsWith('ERR_GEMMATUNE_') && code !== 'ERR_GEMMATUNE_NATIVE')
    return new EngineError(code as ErrorCode, error.message, { cause: error });
  if (isSystemError(error)) return new EngineError('ERR_GEMMATUNE_FILE', error.message, { cause: error });
  return error;
}

export function rethrow<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw engineError(error);
  }
}

export async function rethrowAsync<T>(body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    throw engineError(error);
  }
}
