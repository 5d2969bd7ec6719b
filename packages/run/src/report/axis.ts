/** Axes of a chart: where values stand, and which are written there. */

export interface Axis {
  marks: readonly number[];
  /** The place of a value, in units of the drawing. */
  at: (value: number) => number;
}

/** From where to where an axis goes. */
export type Span = readonly [from: number, to: number];

/** About `wanted` round numbers that enclose the values. */
export function roundAxis(values: readonly number[], wanted: number, span: Span): Axis {
  const marks = ticks(range(values), wanted);
  return { marks, at: scale(marks[0]!, marks.at(-1)!, span) };
}

/** The values themselves, as far as there is room to write them; `place` makes them linear. */
export function valueAxis(values: readonly number[], place: (value: number) => number, span: Span): Axis {
  const sorted = [...new Set(values)].sort((a, b) => a - b);
  const linear = scale(place(sorted[0]!), place(sorted.at(-1)!), span);
  const at = (value: number) => linear(place(value));
  return { marks: spaced(sorted, at), at };
}

/** About `wanted` round numbers (1, 2 or 5 times a power of ten apart) that enclose the range. */
export function ticks([low, high]: Span, wanted: number): number[] {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** A single value still needs an axis to stand on. */
function range(values: readonly number[]): Span {
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  if (low < high) return [low, high];
  return low === 0 ? [0, 1] : [low - Math.abs(low) / 2, low + Math.abs(low) / 2];
}

/** Where low and high are one, it stands in the middle. */
function scale(low: number, high: number, [from, to]: Span): (value: number) => number {
  return (value) => {
    const share = high === low ? 0.5 : (value - low) / (high - low);
    return Math.round((from + share * (to - from)) * 10) / 10;
  };
}

/** Those that have room for a label each, from the left; the last one always. */
function spaced(sorted: readonly number[], at: (value: number) => number): number[] {
  const ROOM = 62;
  const last = sorted.at(-1)!;
  const shown: number[] = [];
  for (const value of sorted.slice(0, -1)) {
    const before = shown.at(-1);
    const isFree = before === undefined || at(value) - at(before) >= ROOM;
    if (isFree && at(last) - at(value) >= ROOM) shown.push(value);
  }
  return [...shown, last];
}

/** A number in few characters. `size`: that of the largest of its kind, so that all marks of an axis are written alike. */
export function short(value: number, size = Math.abs(value)): string {
  const isPlain = value === 0 || (size >= 5e-3 && size < 1e6);
  const digits = Number.isInteger(value) ? 21 : 4; // the most there may be: as it is
  if (isPlain) return value.toLocaleString('en-US', { maximumSignificantDigits: digits });
  return value.toExponential(1).replace('.0e', 'e');
}
