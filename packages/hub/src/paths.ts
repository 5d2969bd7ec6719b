import { HubError } from './errors.js';

/**
 * Refuses names that could leave the folder they are meant for, on any system: listings and archives come from outside.
 * POSIX and Windows rules hold everywhere, so that a cache stays portable.
 *
 * @returns the name with a leading `./` and a trailing `/` removed
 * @throws HubError `ERR_GEMMATUNE_HUB_CORRUPT`
 */
export function safeRelativePath(name: string, origin: string): string {
  const trimmed = name.replace(/^(\.\/)+/, '').replace(/\/+$/, '');
  if (!isPlainPath(trimmed)) {
    throw new HubError(
      'ERR_GEMMATUNE_HUB_CORRUPT',
      `${origin} holds the file name ${JSON.stringify(name)}, which is not a plain relative path: nothing was written for it.`,
    );
  }
  return trimmed;
}

/** Whether a name stays inside the folder it is put in. */
export function isPlainPath(name: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  return name.split('/').every((part) => !['', '.', '..'].includes(part)) && !/[\\:\x00-\x1f]/.test(name);
}

/**
 * Whether `path` matches any of `patterns`, by the rules of Python's `fnmatch` as `huggingface_hub` uses it:
 * `*` also matches `/`, `?` one character, `[ab]` and `[!ab]` sets, and a pattern that ends in `/` means the folder.
 */
export function matchesAny(path: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => fnmatchExpression(pattern.endsWith('/') ? `${pattern}*` : pattern).test(path));
}

function fnmatchExpression(pattern: string): RegExp {
  const source = pattern.replace(/\[(!?)([^\]]+)\]|[\s\S]/g, (token, negated: string | undefined, set?: string) => {
    if (set !== undefined) return `[${negated ? '^' : ''}${set.replace(/[\\^[]/g, '\\$&')}]`;
    if (token === '*') return '[\\s\\S]*';
    if (token === '?') return '[\\s\\S]';
    return token.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  });
  return new RegExp(`^${source}$`);
}
