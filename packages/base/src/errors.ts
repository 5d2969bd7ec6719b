/** A failure with a stable code for programs and one sentence for people. Each package's failures are of a class of its own, with its codes. */
export class GemmatuneError<Code extends string = string> extends Error {
  readonly code: Code;
  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/**
 * Something the caller gave (a file, a row, an option) is wrong. The message is one sentence that says where, what was found
 * and what was expected; programs that show it to people need no stack trace.
 */
export class InputError extends GemmatuneError<'ERR_GEMMATUNE_INPUT'> {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_GEMMATUNE_INPUT', message, options);
  }
}
