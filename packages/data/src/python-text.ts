/** What Python's `str.isspace`, `str.strip` and the regular expression `\s` mean by white space. JavaScript's sets differ. */
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

/** `\s` of Python's `re`, for use inside a RegExp source. */
export const PYTHON_SPACE = `[${SPACE}]`;

const ENDS = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, 'g');

/** Python's `text.strip()`. */
export function strip(text: string): string {
  return text.replace(ENDS, '');
}
