import { pythonFloat } from '@gemmatune/schema';

/** Values of a Python-style JSON text. Numbers print as floats unless their key is among `integers`. */
export type PythonValue =
  | null
  | boolean
  | number
  | string
  | readonly PythonValue[]
  | { readonly [key: string]: PythonValue };

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
