/** How Python prints a float and what it means by white space; JavaScript's answers differ. */

/**
 * Python's `repr(float)`: the shortest digits that read back as x, positional for 1e-4 <= |x| < 1e16 (`1.0`, `0.0001`), else with an
 * exponent of at least two digits (`5e-05`, `1e+16`); `nan`, `inf`, `-inf`.
 */
export function pythonFloat(x: number): string {
  if (Number.isNaN(x)) return 'nan';
  if (!Number.isFinite(x)) return x > 0 ? 'inf' : '-inf';
  if (x === 0) return Object.is(x, -0) ? '-0.0' : '0.0';
  // toExponential() without an argument gives the shortest digits: the same digits Python prints.
  const [mantissa, exponentText] = x.toExponential().split('e') as [string, string];
  const exponent = Number(exponentText);
  if (exponent < -4 || exponent >= 16) {
    const digits = String(Math.abs(exponent)).padStart(2, '0');
    return `${mantissa}e${exponent < 0 ? '-' : '+'}${digits}`;
  }
  return Number.isInteger(x) ? `${x}.0` : String(x);
}

/** What `str.isspace`, `str.strip` and the regular expression `\s` take for white space. */
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

/** `\s` of Python's `re`, for use inside a RegExp source. */
export const PYTHON_SPACE = `[${SPACE}]`;

const ONE_SPACE = new RegExp(PYTHON_SPACE);

/** Python's `text.strip()`: unlike `trim()` also \x1c-\x1f and \x85, and not U+FEFF. */
export function strip(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && ONE_SPACE.test(text[start]!)) start++;
  while (start < end && ONE_SPACE.test(text[end - 1]!)) end--;
  return text.slice(start, end);
}
