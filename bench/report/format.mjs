// Numbers as people read them: three digits that count, a unit that fits. What was not measured is a dash.

const NOTHING = '–';

/** @param {unknown} value @returns {value is number} */
const isKnown = (value) => typeof value === 'number' && Number.isFinite(value);

/** 3 significant digits, whole from 100 on: 0.0123, 4.5, 86.4, 482, 11,777. @param {unknown} value */
export function number(value) {
  if (!isKnown(value)) return NOTHING;
  if (Math.abs(value) >= 99.95) return Math.round(value).toLocaleString('en-US');
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}

/** @typedef {[factor: number, unit: string][]} Units the largest first */

/** @param {unknown} value in the base unit @param {Units} units */
function scaled(value, units) {
  if (!isKnown(value)) return NOTHING;
  const [factor, unit] = units.find(([size]) => Math.abs(value) >= size) ?? units[units.length - 1];
  return `${number(value / factor)} ${unit}`;
}

/** @param {string} unit @returns {Units} */
const decimal = (unit) => [
  [1e12, `T${unit}`],
  [1e9, `G${unit}`],
  [1e6, `M${unit}`],
  [1e3, `k${unit}`],
  [1, unit],
];
/** @type {Units} */
const BINARY = [
  [2 ** 30, 'GiB'],
  [2 ** 20, 'MiB'],
  [2 ** 10, 'KiB'],
  [1, 'B'],
];
/** @type {Units} */
const SECONDS = [
  [1, 's'],
  [1e-3, 'ms'],
  [1e-6, 'µs'],
  [1e-9, 'ns'],
];

export const flopRate = (/** @type {unknown} */ value) => scaled(value, decimal('FLOP/s'));
export const byteRate = (/** @type {unknown} */ value) => scaled(value, decimal('B/s'));
/** What crosses a bus. @param {unknown} value */
export const decimalBytes = (value) => scaled(value, decimal('B'));
/** What memory holds. @param {unknown} value */
export const binaryBytes = (value) => scaled(value, BINARY);
export const duration = (/** @type {unknown} */ seconds) => scaled(seconds, SECONDS);
export const percent = (/** @type {unknown} */ share) => (isKnown(share) ? `${number(share * 100)} %` : NOTHING);
export const times = (/** @type {unknown} */ ratio) => (isKnown(ratio) ? `${number(ratio)}x` : NOTHING);
/** Of an update: four decimals, as TRL logs them. @param {unknown} values */
export const losses = (values) =>
  Array.isArray(values) && values.length > 0
    ? values.map((loss) => (isKnown(loss) ? loss.toFixed(4) : NOTHING)).join(', ')
    : NOTHING;
export const day = (/** @type {string} */ date) => date.slice(0, 10);

/** { batch: 2, recompute: null, environment: { A: '1' } } as "batch 2, recompute default, environment A=1". @param {object} [setting] */
export function settingText(setting) {
  const valueText = (/** @type {unknown} */ value) => {
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

/** The parts that are there, joined. @param {readonly unknown[]} parts */
export const joined = (parts, separator = ' · ') => parts.filter(Boolean).join(separator);
