// Cost as work grows: tokens/s by sequences of a step, and what one long sequence takes of memory and time.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runWorker } from '../measure/child.mjs';
import { peakBytesOf } from '../measure/memory.mjs';
import { PLACE } from '../measure/options.mjs';
import { exponentOf } from '../measure/power-law.mjs';
import { median } from '../measure/statistics.mjs';
import { writeRows } from '../measure/workload.mjs';

/** The full width, few layers and a small vocabulary: seconds instead of minutes. Work and parameters shrink alike, so that AdamW's share stays. */
const SHAPE = { layers: 2, 'vocab-size': 4096 };
/** Mean of workload.json; all rows have it, so that nothing but their number changes. */
const ROW_TOKENS = 277;
/** Most over least tokens/s that still count as flat: one sequence a step pays for an update all by itself. */
const FLAT = 1.25;
/** Exponents up to here count as linear. */
const LINEAR = 1.1;

const OPTIONS = {
  sequences: { default: '1,4,16,64', help: 'Sequences of a step.' },
  batch: { default: '2', help: 'Sequences of a micro-batch, at most those of the step.' },
  timed: { default: '16', help: 'Sequences that are timed at least, in however many steps.' },
  rounds: { default: '2', help: 'How often each is measured, in turns.' },
  lengths: {
    default: '2048,4096,8192,16384,32768',
    help: 'Tokens of one sequence, from short to long.',
  },
  layers: {
    default: 'sliding,full sliding,sliding',
    help: 'Layers of the model for it, the first for memory.',
  },
  ...PLACE,
};

/** @type {import('./index.mjs').Suite<typeof OPTIONS>} */
export const scaling = {
  summary:
    'Cost as work grows: tokens/s from 1 to 64 sequences a step, memory and time of one sequence up to 32,768 tokens.',
  options: OPTIONS,
  short: { sequences: '1,4,16', rounds: '1', lengths: '2048,8192', layers: 'sliding,full' },

  async run(options, context) {
    const counts = numbers(options, 'sequences');
    const lengths = numbers(options, 'lengths');
    if (counts.length < 2 || lengths.length < 2)
      throw new Error('--sequences and --lengths: expected at least two numbers each, to see how cost grows');
    const grown = await ofSequences(counts, options, context);
    const long = await ofLengths(lengths, options, context);
    return {
      settings: {
        ...options,
        ...SHAPE,
        rowTokens: ROW_TOKENS,
        learntOfLongRow: 256,
      },
      results: [...grown.results, ...long.results],
      bars: [...grown.bars, ...long.bars],
    };
  },
};

function numbers(options, name) {
  const values = options[name].split(',').map(Number);
  if (values.every((value) => Number.isInteger(value) && value > 0)) return values;
  throw new Error(`--${name}: found '${options[name]}', expected whole numbers above 0, with commas between them`);
}

const placeOf = ({ dtype, device, threads }) => ({ dtype, device, threads });

/** Training steps of so many sequences each, in turns. */
async function ofSequences(counts, options, { note, signal }) {
  const folder = await mkdtemp(join(tmpdir(), 'gemmatune-bench-'));
  try {
    const rows = join(folder, 'rows.jsonl');
    await writeRows(rows, equalRows(2 * Math.max(Number(options.timed), ...counts)));
    const measured = counts.map((sequences) => ({ sequences, rounds: [], withoutUpdate: [], cpu: [] }));
    for (let round = 0; round < Number(options.rounds); round++)
      for (const each of measured) {
        const steps = 1 + Math.ceil(Number(options.timed) / each.sequences);
        const { batch } = options;
        const run = await runWorker(
          'train.mjs',
          { ...placeOf(options), ...SHAPE, rows, batch, sequences: each.sequences, steps, warmup: 1 },
          { signal },
        );
        const timed = run.steps.slice(1);
        each.rounds.push(run.tokensPerSecond);
        each.withoutUpdate.push(median(timed.map((step) => step.tokens / (step.seconds - step.updateSeconds))));
        each.cpu.push(median(timed.map((step) => step.tokens / step.cpuSeconds)));
        note(`${each.sequences} sequences a step: ${run.tokensPerSecond.toFixed(0)} tokens/s`);
      }
    const results = measured.map(({ sequences, rounds, withoutUpdate, cpu }) => ({
      what: 'sequences',
      sequences,
      tokensPerSecond: median(rounds),
      tokensPerSecondWithoutUpdate: median(withoutUpdate),
      tokensPerCpuSecond: median(cpu),
      rounds,
    }));
    const speeds = results.map(({ tokensPerSecond }) => tokensPerSecond);
    const range = `${Math.min(...counts)} to ${Math.max(...counts)} sequences a step`;
    return { results, bars: [atMost(`tokens/s from ${range}, most over least`, FLAT, ratioOf(speeds))] };
  } finally {
    await rm(folder, { recursive: true });
  }
}

const ratioOf = (values) => Math.max(...values) / Math.min(...values);

/** Rows of one length; every token but the first is learnt. */
function equalRows(count) {
  return Array.from({ length: count }, (_, row) => {
    const inputIds = Int32Array.from(
      { length: ROW_TOKENS },
      (_, t) => (t * 7919 + row * 104_729) % SHAPE['vocab-size'],
    );
    return { inputIds, labels: inputIds };
  });
}

/** One sequence by its length: layers of both kinds, and of the sliding kind alone, whose time should grow with the length only. */
async function ofLengths(lengths, options, { note, signal }) {
  const results = [];
  const kinds = options.layers.split(' ');
  for (const tokens of lengths)
    for (const layers of kinds) {
      const run = await runWorker('attention.mjs', { ...placeOf(options), tokens, layers }, { signal });
      const { seconds, cpuSeconds, memory, baselineBytes } = run;
      const peakBytes = peakBytesOf(run);
      results.push({
        what: layers === kinds[0] ? 'attention memory' : 'attention time',
        layers,
        dtype: run.settings.dtype,
        tokens,
        activationBytes: memory.activations,
        peakBytes,
        // Of the process without the model and Node; on a GPU the peak is the model's own anyway.
        passBytes: options.device === 'cpu' ? peakBytes - baselineBytes : memory.activations,
        seconds,
        cpuSeconds,
        secondsPerToken: seconds / tokens,
      });
      note(
        `${tokens} tokens, layers ${layers}: ${(memory.activations / 1e9).toFixed(2)} GB of activations, ${((1e6 * seconds) / tokens).toFixed(0)} us a token`,
      );
    }
  const of = (layers, field) =>
    growth(
      results.filter((each) => each.layers === layers),
      field,
    );
  const time = options.device === 'cpu' ? 'cpuSeconds' : 'seconds'; // other load on the machine leaves CPU time alone
  const exponents = [
    { of: 'activationBytes', layers: kinds[0], ...of(kinds[0], 'activationBytes') },
    { of: 'passBytes', layers: kinds[0], ...of(kinds[0], 'passBytes') },
    ...kinds.map((layers) => ({ of: time, layers, ...of(layers, time) })),
  ];
  const range = `${lengths[0]} to ${lengths.at(-1)} tokens`;
  const bar = (what, { exponent, atTheEnd }) =>
    atMost(`${what} of one sequence of ${range}, exponent`, LINEAR, Math.max(exponent, atTheEnd));
  return {
    results: [...results, ...exponents.map((each) => ({ what: 'growth', ...each }))],
    bars: [bar('activation bytes', exponents[0]), bar('peak memory of training', exponents[1])],
  };
}

/** Exponent over all lengths, and over the last two: what is constant hides growth at short ones. */
function growth(results, field) {
  const points = results.map((each) => ({ x: each.tokens, y: each[field] }));
  return { exponent: exponentOf(points), atTheEnd: exponentOf(points.slice(-2)) };
}

const atMost = (what, bar, value) => ({ what, bar, value, unit: '', met: value <= bar });
