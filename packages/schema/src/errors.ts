/**
 * Something the caller gave (a file, a row, an option) is wrong. The message is one sentence that says where, what was found
 * and what was expected; programs that show it to people need no stack trace.
 */
export class InputError extends Error {
  override readonly name = 'InputError';
  readonly code = 'ERR_GEMMATUNE_INPUT';
}
