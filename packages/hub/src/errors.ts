import { GemmatuneError, isSystemError, reasonOf } from '@gemmatune/base';

/** Stable codes of everything this package can refuse or fail with. */
export const HUB_ERROR_CODES = [
  'ERR_GEMMATUNE_HUB_ARGUMENT',
  'ERR_GEMMATUNE_HUB_ACCESS',
  'ERR_GEMMATUNE_HUB_NOT_FOUND',
  'ERR_GEMMATUNE_HUB_NETWORK',
  'ERR_GEMMATUNE_HUB_SERVER',
  'ERR_GEMMATUNE_HUB_OFFLINE',
  'ERR_GEMMATUNE_HUB_CORRUPT',
  'ERR_GEMMATUNE_HUB_DISK',
] as const;
export type HubErrorCode = (typeof HUB_ERROR_CODES)[number];

/** A failure with a stable code for programs and one sentence for people. No message ever holds a token. */
export class HubError extends GemmatuneError<HubErrorCode> {}

/** Why a request failed: Node's `fetch failed` hides the reason in `cause`. */
export function causeOf(error: unknown): string {
  const cause = error instanceof HubError ? undefined : (error as Error | undefined)?.cause;
  return cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : reasonOf(error);
}

/** Work on a cache: what the system refuses there names the place, and the variable that chooses another. */
export async function inCache(place: string, variable: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new HubError(
      'ERR_GEMMATUNE_HUB_DISK',
      `The cache ${place} cannot be written (${reasonOf(error)}): make that possible, or name another place with ${variable}.`,
      { cause: error },
    );
  }
}
