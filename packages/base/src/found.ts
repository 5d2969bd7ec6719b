/** Values and the system's refusals, as sentences have them. */

const LONGEST = 60;

/** A value as an error shows it: short, on one line; as JSON has it, but for a text's quotes, which are those of option values in sentences. */
export function shown(value: unknown): string {
  const text = textOf(value);
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 3)}...` : text;
}

function textOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'string') return `'${JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"')}'`;
  if (typeof value !== 'object' || value === null) return String(value);
  const plain = Array.isArray(value) || [Object.prototype, null].includes(Object.getPrototypeOf(value));
  // An object of a class (a number kept as text, a list of numbers) has a text of its own.
  if (!plain) return String(value);
  try {
    return JSON.stringify(value);
  } catch {
    return Array.isArray(value) ? 'a list' : 'an object'; // it holds itself, or a bigint
  }
}

/** Whether the system refused: no such file, no permission, no space left. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException & { code: string } {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  return error instanceof Error && typeof code === 'string' && /^E[A-Z0-9]+$/.test(code);
}

/** Whether there is nothing of that name. */
export function isMissing(error: unknown): boolean {
  return isSystemError(error) && ['ENOENT', 'ENOTDIR'].includes(error.code);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'this is a folder',
  ENOTDIR: 'a part of its path is a file, not a folder',
  EEXIST: 'something of this name is there already',
  EACCES: 'permission is denied',
  EPERM: 'permission is denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left on the disk',
  EDQUOT: 'the disk quota is used up',
  EMFILE: 'too many files are open',
};

/**
 * Why something failed, in a few words without the path, which the sentence names already.
 * @param words for codes that mean something else there
 */
export function reasonOf(error: unknown, words: Readonly<Record<string, string>> = {}): string {
  if (!(error instanceof Error)) return String(error);
  const known = isSystemError(error) ? (words[error.code] ?? REASONS[error.code]) : undefined;
  return known ?? error.message.replace(/\.$/, '');
}
