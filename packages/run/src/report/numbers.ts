/** Numbers as people read them, in reports and on screens. */
import type { Part } from '@gemmatune/eval';

/** A metric: rates between 0 and 1 in percent, a dash for what was not measured. */
export function percent(value: number | null | undefined): string {
  return value === null || value === undefined ? '-' : `${(value * 100).toFixed(1)} %`;
}

/** The same with what it is a ratio of, where that is known: `81.6 % (40 of 49)`. */
export function ratio(value: number | null | undefined, of: Part | undefined): string {
  const count = (n: number) => n.toLocaleString('en');
  return percent(value) + (of === undefined || of.weight === 0 ? '' : ` (${count(of.value)} of ${count(of.weight)})`);
}

/** Seconds: 42 s, 3 min 05 s, 2 h 10 min. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return 'unknown';
  const whole = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, '0');
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

export const megabytes = (bytes: number): string =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
