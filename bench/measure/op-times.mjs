// What ops_bench printed: limits of the machine and times of ops, put together over its runs.

/**
 * @typedef {object} Limit what the machine can do at most
 * @property {string} limit its name
 * @property {string} device
 * @property {string} family the instructions that reach it
 * @property {string} [instructionSet] none on a GPU
 * @property {number} [bytesPerSecond]
 * @property {number} [flopsPerSecond]
 *
 * @typedef {object} OpCall
 * @property {string} op
 * @property {string} shape
 * @property {string} dtype
 * @property {string} device
 * @property {string} [instructionSet]
 * @property {number} seconds
 * @property {number} bytes
 * @property {number} flops
 * @property {number} bytesPerSecond
 * @property {number} flopsPerSecond
 * @property {number | null} share of the limit that binds
 * @property {string | null} boundBy name of that limit
 *
 * @typedef {{ limits: Limit[], calls: OpCall[] }} Run
 */

/** Lowest share of the measured limit among the model's products, by instruction set. */
const BARS = [
  { instructionSet: 'avx512+avx512-bf16', dtype: 'bfloat16', bar: 0.75 },
  { instructionSet: 'avx2', dtype: 'float32', bar: 0.8 },
];

/**
 * Output of one run of ops_bench.
 * @param {string} stdout
 * @returns {Run}
 */
export function parseRun(stdout) {
  const [device, ...lines] = stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
  const { instructionSet } = device;
  const own = instructionSet === undefined ? {} : { instructionSet };
  return {
    limits: lines.filter(({ limit }) => limit).map((line) => ({ ...line, ...own })),
    calls: lines.filter(({ op }) => op).map((line) => ({ ...line, ...own })),
  };
}

/** @param {Limit} limit */
const rate = ({ bytesPerSecond, flopsPerSecond }) => bytesPerSecond ?? flopsPerSecond ?? 0;
const key = (/** @type {unknown[]} */ ...parts) => parts.join('|');
/** @param {{ device: string, instructionSet?: string }} line @param {string | null} name */
const limitKey = (line, name) => key(line.device, line.instructionSet, name);

/**
 * The highest limits and the shortest time of each call; shares are of those limits.
 * @param {readonly Run[]} runs
 * @returns {Run}
 */
export function bestOf(runs) {
  /** @type {Map<string, Limit>} */
  const limits = new Map();
  for (const line of runs.flatMap((run) => run.limits)) {
    const known = limits.get(limitKey(line, line.limit));
    if (!known || rate(line) > rate(known)) limits.set(limitKey(line, line.limit), line);
  }
  /** @type {Map<string, OpCall>} */
  const calls = new Map();
  for (const run of runs) {
    for (const call of run.calls) {
      const id = key(call.device, call.instructionSet, call.dtype, call.op, call.shape);
      const known = calls.get(id);
      if (known && known.seconds <= call.seconds) continue;
      const own = run.limits.find(({ limit }) => limit === call.boundBy);
      const highest = limits.get(limitKey(call, call.boundBy));
      const share = own && highest && call.share !== null ? (call.share * rate(own)) / rate(highest) : null;
      calls.set(id, { ...call, share });
    }
  }
  return { limits: [...limits.values()], calls: [...calls.values()] };
}

/** The model's products at the rows of a training pass: decoding, with its few rows, waits for memory. @param {OpCall} call */
const isProduct = ({ op, shape }) => op.startsWith('matmul_') && Number(shape.match(/ (\d+)x/)?.[1]) > 64;

/**
 * @param {readonly OpCall[]} calls
 * @returns {{ what: string, bar: number, value: number, unit: string, met: boolean, at: string }[]} `at`: the product with that share
 */
export function bars(calls) {
  return BARS.flatMap(({ instructionSet, dtype, bar }) => {
    const products = calls.flatMap((call) => {
      const { share } = call;
      const isOurs = isProduct(call) && call.instructionSet === instructionSet && call.dtype === dtype;
      return isOurs && share !== null ? [{ ...call, share }] : [];
    });
    if (products.length === 0) return [];
    const lowest = products.reduce((a, b) => (b.share < a.share ? b : a));
    const what = `lowest share of the multiply-add rate among the model's ${dtype} products (${instructionSet})`;
    return [
      { what, bar, value: lowest.share, unit: 'share', met: lowest.share >= bar, at: `${lowest.op} ${lowest.shape}` },
    ];
  });
}

/**
 * One table for each device, instruction set and dtype.
 * @param {Run} best
 * @returns {string[]}
 */
export function tables(best) {
  const titles = [...new Set(best.calls.map(heading))];
  return titles.map((title) => {
    const calls = best.calls.filter((call) => heading(call) === title);
    const own = best.limits.filter(
      ({ device, instructionSet }) => device === calls[0].device && instructionSet === calls[0].instructionSet,
    );
    const known = own.map((line) => `${line.limit} ${giga(rate(line))} ${line.bytesPerSecond ? 'GB/s' : 'GFLOP/s'}`);
    const rows = calls.map((c) => [
      c.op,
      c.shape,
      (c.seconds * 1e3).toPrecision(4),
      giga(c.bytesPerSecond),
      giga(c.flopsPerSecond),
      percent(c.share),
      c.boundBy ?? '',
    ]);
    return `${title}; limits: ${known.join(', ')}\n${aligned([['op', 'shape', 'ms', 'GB/s', 'GFLOP/s', 'share', 'of'], ...rows])}`;
  });
}

/** @param {OpCall} call */
const heading = ({ device, instructionSet, dtype }) => [device, instructionSet, dtype].filter(Boolean).join(', ');
const giga = (/** @type {number} */ perSecond) => (perSecond === 0 ? '' : (perSecond * 1e-9).toPrecision(4));
const percent = (/** @type {number | null} */ share) => (share === null ? '' : `${(100 * share).toFixed(0)} %`);

/** @param {string[][]} rows */
function aligned(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const cell = (/** @type {string} */ text, /** @type {number} */ column) =>
    column < 2 || column === 6 ? text.padEnd(widths[column]) : text.padStart(widths[column]);
  return rows.map((row) => row.map(cell).join('  ').trimEnd()).join('\n');
}
