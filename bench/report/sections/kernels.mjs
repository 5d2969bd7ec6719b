import { byteRate, duration, flopRate, joined, number, percent } from '../format.mjs';
import { groupBy } from '../group.mjs';
import { labels } from '../labels.mjs';

/** Kernels against the limits of the machine. @returns {import('../sections.mjs').Section | null} */
export function kernelsSection({ results }) {
  const limits = results.filter(({ limit }) => limit !== undefined);
  const kernels = results.filter(({ op, share }) => op !== undefined && typeof share === 'number');
  if (limits.length + kernels.length === 0) return null;
  const limitTable = {
    columns: ['limit, measured', 'device', ''],
    rows: limits.map((limit) => [limit.limit, limit.device ?? 'cpu', rateOf(limit)]),
  };
  return {
    title: 'Kernels against their limit',
    note: 'Share of the limit that binds: arithmetic where a kernel is bound by it, else memory.',
    blocks: [{ table: limitTable }, ...groups(kernels).map((group) => ({ bars: chartOf(group) }))],
    summary: {
      columns: ['op', 'device', 'shapes', 'share', 'least', 'at'],
      rows: byOp(kernels).map(summaryRow),
      notes: [
        `limits: ${limits.map((limit) => joined([limit.limit, limit.device !== 'cpu' && limit.device, rateOf(limit)], ' ')).join(', ')}`,
      ],
    },
  };
}

const rateOf = ({ flopsPerSecond, bytesPerSecond }) =>
  flopsPerSecond ? flopRate(flopsPerSecond) : byteRate(bytesPerSecond);

/** The median share of an op's shapes, and the shape with the least. */
function summaryRow(own) {
  const sorted = [...own].sort((a, b) => a.share - b.share);
  const [{ op, device, share, shape }] = sorted;
  const several = own.length > 1;
  return [
    op,
    device ?? 'cpu',
    number(own.length),
    percent(sorted[Math.floor(sorted.length / 2)].share),
    several ? percent(share) : '',
    several ? shape : '',
  ];
}

function byOp(kernels) {
  return [...groupBy(kernels, ({ device, op }) => `${device} ${op}`).values()];
}

/** A chart for each op with several shapes, and one of each device for the others. */
function groups(kernels) {
  const own = byOp(kernels);
  const single = groupBy(own.filter((group) => group.length === 1).flat(), ({ device }) => device ?? 'cpu');
  return [
    ...own
      .filter((group) => group.length > 1)
      .map((items) => ({ title: joined([items[0].op, items[0].device]), items })),
    ...[...single].map(([device, items]) => ({ title: joined(['one shape each', device]), items, named: true })),
  ];
}

function chartOf({ title, items, named = false }) {
  const write = (fields) => joined(Object.values(fields), ' ');
  const names = labels(
    items.map(({ op, shape, dtype }) => (named ? { op, shape, dtype } : { shape, dtype })),
    write,
  );
  return {
    title: joined([title, names.shared]),
    most: 1,
    items: items.map((kernel, i) => ({
      label: names.own[i],
      value: kernel.share,
      text: joined([percent(kernel.share), rateOf(kernel), duration(kernel.seconds)]),
    })),
  };
}
