// Numbers as people read them: three digits that count, a unit that fits. What was not measured is a dash.

const NOTHING = '–';

const missing = (value) => typeof value !== 'number' || !Number.isFinite(value);

/** 3 significant digits, whole from 100 on: 0.0123, 4.5, 86.4, 482, 11,777. */
export function number(value) {
  if (missing(value)) return NOTHING;
  if (Math.abs(value) >= 99.95) return Math.round(value).toLocaleString('en-US');
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}

/** @param {number} value in the base unit @param {[factor: number, unit: string][]} units the largest first */
function scaled(value, units) {
  if (missing(value)) return NOTHING;
  const [factor, unit] = units.find(([size]) => Math.abs(value) >= size) ?? units.at(-1);
  return `${number(value / factor)} ${unit}`;
}

const DECIMAL = [
  [1e12, 'T'],
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
];
const prefixed = (unit) => [...DECIMAL.map(([factor, prefix]) => [factor, prefix + unit]), [1, unit]];

export const flopRate = (value) => scaled(value, prefixed('FLOP/s'));
export const byteRate = (value) => scaled(value, prefixed('B/s'));
/** What crosses a bus. */
export const decimalBytes = (value) => scaled(value, prefixed('B'));
/** What memory holds. */
export const binaryBytes = (value) =>
  scaled(value, [
    [2 ** 30, 'GiB'],
    [2 ** 20, 'MiB'],
    [2 ** 10, 'KiB'],
    [1, 'B'],
  ]);
export const duration = (seconds) =>
  scaled(seconds, [
    [1, 's'],
    [1e-3, 'ms'],
    [1e-6, 'µs'],
    [1e-9, 'ns'],
  ]);
export const percent = (share) => (missing(share) ? NOTHING : `${number(share * 100)} %`);
export const times = (ratio) => (missing(ratio) ? NOTHING : `${number(ratio)}x`);
/** Of an update: four decimals, as TRL logs them. */
export const losses = (values) =>
  Array.isArray(values) && values.length > 0
    ? values.map((loss) => (missing(loss) ? NOTHING : loss.toFixed(4))).join(', ')
    : NOTHING;
export const day = (date) => String(date).slice(0, 10);

/** { batch: 2, recompute: null, environment: { A: '1' } } as "batch 2, recompute default, environment A=1". */
export function settingText(setting) {
  const valueText = (value) => {
    if (value === null) return 'default';
    if (typeof value !== 'object') return String(value);
    return Object.entries(value)
      .map(([name, each]) => `${name}=${each}`)
      .join(' ');
  };
  return Object.entries(setting ?? {})
    .map(([name, value]) => [name, value === undefined ? '' : valueText(value)])
    .filter(([, text]) => text !== '')
    .map((pair) => pair.join(' '))
    .join(', ');
}

/** The parts that are there, joined. */
export const joined = (parts, separator = ' · ') => parts.filter(Boolean).join(separator);
