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
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** A failure with a stable code for programs and one sentence for people. */
export class EngineError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EngineError';
    this.code = code;
  }
}
