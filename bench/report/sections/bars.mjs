import { day, number, times } from '../format.mjs';

/** What the project promises of itself, met or missed. @returns {import('../sections.mjs').Section | null} */
export function barsSection(files) {
  const bars = allBars(files);
  if (bars.length === 0) return null;
  const row = (bar) => [
    bar.what,
    expectedOf(bar),
    withUnit(bar.value, bar.unit),
    bar.met ? { text: 'met', tone: 'good' } : { text: 'missed', tone: 'bad' },
  ];
  return {
    title: `Bars: ${bars.filter(({ met }) => met).length} of ${bars.length} met`,
    blocks: [
      {
        table: {
          columns: ['bar', 'expected', 'measured', '', 'suite', 'date'],
          rows: bars.map((bar) => [...row(bar), bar.suite, `${day(bar.date)}${bar.short ? ', short run' : ''}`]),
        },
      },
    ],
    summary: { columns: ['bar', 'expected', 'measured', ''], rows: bars.map(row) },
  };
}

/** Bars of result files, each with its suite and date. */
export function allBars(files) {
  return files.flatMap(({ suite, date, short, bars }) => bars.map((bar) => ({ ...bar, suite, date, short })));
}

/** "≥ 2.5x" or "≤ 0.2 s". A bar does not say which side is better, but whether it is met does. */
export function expectedOf({ bar, value, unit, met }) {
  const atLeast = value === bar || value > bar === Boolean(met);
  return `${atLeast ? '≥' : '≤'} ${withUnit(bar, unit)}`;
}

export function withUnit(value, unit) {
  if (unit === 'x') return times(value);
  return unit ? `${number(value)} ${unit}` : number(value);
}
