import { duration, joined, number } from '../format.mjs';
import { groupBy } from '../group.mjs';
import { labels } from '../labels.mjs';

/** Prefill and decode by batch size. @returns {import('../sections.mjs').Section | null} */
export function decodeSection({ results }) {
  const runs = results.filter(({ what, tokensPerSecond }) => what && typeof tokensPerSecond === 'number');
  if (runs.length === 0) return null;
  const kinds = [...groupBy(runs, ({ what }) => what)];
  const write = (/** @type {Record<string, any>} */ { device, dtype, batch, rows }) =>
    joined([batch && `batch ${batch}`, rows && `${number(rows)} rows`, device, dtype], ', ');
  const chart = (/** @type {[what: string, own: Record<string, any>[]]} */ [what, own]) => {
    const names = labels(
      own.map(({ device, dtype, batch, rows }) => ({ device, dtype, batch, rows })),
      write,
    );
    return {
      title: joined([`${what}, tokens/s`, names.shared], ' · '),
      items: own.map(({ tokensPerSecond, seconds }, i) => ({
        label: names.own[i],
        value: tokensPerSecond,
        text: joined([number(tokensPerSecond), duration(seconds)]),
      })),
    };
  };
  return {
    title: 'Generation',
    blocks: kinds.map((kind) => ({ bars: chart(kind) })),
    summary: summaryOf(runs),
  };
}

/** A line for each kind, a column for each batch size. */
function summaryOf(runs) {
  const batches = [...new Set(runs.filter(({ rows }) => !rows).map(({ batch }) => batch))];
  const series = groupBy(
    runs.filter(({ rows }) => !rows),
    ({ what, device, dtype }) => joined([what, device, dtype], ', '),
  );
  return {
    columns: ['tokens/s', ...batches.map((batch) => `batch ${batch}`)],
    rows: [...series].map(([name, own]) => [
      name,
      ...batches.map((batch) => number(own.find((run) => run.batch === batch)?.tokensPerSecond)),
    ]),
    notes: runs
      .filter(({ rows }) => rows)
      .map(
        ({ what, rows, batch, seconds, tokensPerSecond }) =>
          `${what}: ${number(rows)} rows, ${batch} at once: ${duration(seconds)}, ${number(tokensPerSecond)} tokens/s`,
      ),
  };
}
