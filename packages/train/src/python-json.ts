/** Values of a Python-style JSON text. Numbers print as floats unless their key is among `integers`. */
export type PythonValue =
  | null
  | boolean
  | number
  | string
  | readonly PythonValue[]
  | { readonly [key: string]: PythonValue };

/**
 * Text of a float as Python's `repr` prints it: shortest digits that read back exactly, always with `.0` or an exponent, scientific
 * below 1e-4 and from 1e16 on (`0.0001`, `5e-05`, `1.0`, `1e+16`; JavaScript would print `0.00005`, `1`).
 */
export function pythonFloat(x: number): string {
  if (Number.isNaN(x)) return 'nan';
  if (!Number.isFinite(x)) return x > 0 ? 'inf' : '-inf';
  if (x === 0) return Object.is(x, -0) ? '-0.0' : '0.0';
  // toExponential() without argument gives the shortest digits, e.g. -1.25e-7.
  const [mantissa, exponentText] = x.toExponential().split('e') as [string, string];
  const exponent = Number(exponentText);
  if (exponent < -4 || exponent >= 16) {
    return `${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  const sign = x < 0 ? '-' : '';
  const digits = mantissa.replace(/[-.]/g, '');
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return `${sign}${whole}.${digits.slice(exponent + 1) || '0'}`;
}

/**
 * `json.dumps(value, indent=2, sort_keys=True)` of Python, character for character. JavaScript cannot tell 1 from 1.0, so the caller
 * names the integer keys. A number that is not finite becomes `null`: Python's `NaN` is not JSON and no other reader takes it.
 */
export function pythonJson(value: PythonValue, integers: ReadonlySet<string>): string {
  return print(value, '', '', integers);
}

function print(value: PythonValue, key: string, indent: string, integers: ReadonlySet<string>): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return pythonString(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) return 'null';
    return integers.has(key) && Number.isInteger(value) ? String(value) : pythonFloat(value);
  }
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]';
    return `[\n${value.map((item) => inner + print(item, key, inner, integers)).join(',\n')}\n${indent}]`;
  }
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  if (entries.length === 0) return '{}';
  const lines = entries.map(([name, item]) => `${inner}${pythonString(name)}: ${print(item, name, inner, integers)}`);
  return `{\n${lines.join(',\n')}\n${indent}}`;
}

/** ensure_ascii: everything outside ASCII as \uXXXX of its UTF-16 units. */
function pythonString(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
