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
export class HubError extends Error {
  readonly code: HubErrorCode;
  constructor(code: HubErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'HubError';
    this.code = code;
  }
}

/** The most telling words of an unknown failure: Node's `fetch failed` hides the reason in `cause`. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof HubError) return error.message.replace(/\.$/, '');
  const cause = error.cause;
  if (cause instanceof Error) return (cause as NodeJS.ErrnoException).code ?? cause.message;
  return error.message;
}
