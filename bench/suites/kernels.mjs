// Every op on every backend of this machine at the 270M shapes, against what the machine can do at most, by the native program ops_bench.
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const native = fileURLToPath(new URL('../../native', import.meta.url));
const build = join(native, 'build');
const DTYPES = ['bfloat16', 'float32'];

/** Instruction sets of the CPU that the environment chooses; `dtypes`: what a model would compute with there. */
const FAMILIES = {
  best: { env: {}, dtypes: DTYPES },
  'no-amx': { env: { GEMMATUNE_AMX: '0' }, dtypes: DTYPES, below: /amx/ },
  avx512: { env: { GEMMATUNE_CPU: 'avx512' }, dtypes: ['float32'], below: /^avx512\+/ },
  avx2: { env: { GEMMATUNE_CPU: 'avx2' }, dtypes: ['float32'], below: /^avx512/ },
  portable: { env: { GEMMATUNE_CPU: 'portable' }, dtypes: ['float32'], below: /^avx/ },
};

/** Lowest share of the measured limit among the model's products, by instruction set. */
const BARS = [
  { instructionSet: 'avx512+avx512-bf16', dtype: 'bfloat16', bar: 0.75 },
  { instructionSet: 'avx2', dtype: 'float32', bar: 0.8 },
];

/** @type {import('./index.mjs').Suite} */
export const kernels = {
  summary: 'Every op on every backend: time, GB/s, FLOP/s, and the share of what this machine can do at most.',
  options: {
    ops: {
      type: 'string',
      default: '',
      help: 'Ops to time, by commas: folders of native/ops, by default all; step for a whole training step.',
    },
    families: {
      type: 'string',
      default: 'best,avx2',
      help: `Instruction sets of the CPU, by commas: ${Object.keys(FAMILIES).join(', ')}; those that this CPU has.`,
    },
    dtypes: { type: 'string', default: DTYPES.join(','), help: 'Data types of the model on the CPU, by commas.' },
    threads: { type: 'string', default: '0', help: 'CPU threads; 0 = one for each core.' },
    seconds: { type: 'string', default: '0.15', help: 'Time for each call, if it takes less than that.' },
    repeat: {
      type: 'string',
      default: '1',
      help: 'Rounds over everything; the best time of a call counts, for others use the machine too.',
    },
    emulated: { type: 'boolean', default: false, help: 'The emulated GPU too; its times mean nothing.' },
  },
  short: { ops: 'matmul', seconds: '0.05' },

  async run(options, { note, machine, signal }) {
    const ops = chosen('--ops', options.ops, [...opNames(), 'step']);
    const families = chosen('--families', options.families, Object.keys(FAMILIES));
    const dtypes = chosen('--dtypes', options.dtypes, DTYPES);
    const rounds = Number(options.repeat);
    if (!Number.isInteger(rounds) || rounds < 1)
      throw new Error(`--repeat is "${options.repeat}"; expected a whole number of rounds, at least 1`);
    const backends = [
      ...cpuBackends(machine.instructionSet, families, dtypes),
      ...gpuBackends(machine.gpus, options.emulated),
    ];

    note('building ops_bench and ops_test');
    await buildPrograms(signal);
    const checked = [];
    for (const check of checks(backends, ops)) {
      note(`checking ${check.title}`);
      checked.push({ what: check.title, passed: await passedTests(check, signal) });
    }
    const timed = ops.length > 0 ? ops : opNames();
    const words = ['--seconds', options.seconds, '--threads', options.threads, ...timed];
    const lines = [];
    for (let round = 1; round <= rounds; round++)
      for (const { title, args, env } of backends) {
        note(`timing ${title}${rounds > 1 ? `, round ${round} of ${rounds}` : ''}`);
        const { stdout } = await program('ops_bench', [...args, ...words], env, signal);
        lines.push(parseRun(stdout));
      }
    const results = bestOf(lines);
    for (const text of tables(results)) note(text);
    if (results.some(({ share }) => share > 1))
      note('A share above 100 %: the operands stay in caches, which are faster than the memory that copy measures.');
    const settings = {
      ...options,
      ops: timed,
      families,
      dtypes,
      repeat: rounds,
      best: 'the best round of each call',
      checked,
    };
    return { settings, results, bars: bars(results) };
  },
};

const opNames = () =>
  readdirSync(join(native, 'ops'), { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [entry.name] : [],
  );

/** The names in a list with commas, each one of `known`. An empty list stays empty. */
function chosen(option, list, known) {
  const names = list.split(',').flatMap((name) => name.trim() || []);
  for (const name of names)
    if (!known.includes(name)) throw new Error(`${option} names "${name}"; expected some of ${known.join(', ')}`);
  return names;
}

/** A run of ops_bench each: families that are not below this CPU's best would only repeat it. */
function cpuBackends(instructionSet, families, dtypes) {
  return families
    .filter((family) => FAMILIES[family].below?.test(instructionSet) ?? true)
    .flatMap((family) =>
      FAMILIES[family].dtypes
        .filter((dtype) => dtypes.includes(dtype))
        .map((dtype) => ({
          title: `the CPU, ${dtype}, ${family === 'best' ? instructionSet : family}`,
          args: ['--device', 'cpu', '--dtype', dtype],
          env: FAMILIES[family].env,
          tests: '/test.cpp',
        })),
    );
}

/** The first GPU on its own code path and on that of a T4; its tests run on both. */
function gpuBackends(gpus, emulated) {
  const devices = gpus
    .slice(0, 1)
    .map(({ device, path }) => ({ device, path, env: { GEMMATUNE_TEST_DEVICE: 'cuda' } }));
  if (emulated) devices.push({ device: 'emulated', path: 'sm80', env: {} });
  return devices.flatMap(({ device, path, env }) =>
    [...new Set([path, 'sm75'])].map((level) => ({
      title: `${device}, ${level}`,
      args: ['--device', device, '--level', level],
      env,
      tests: '/gpu_test.cpp',
    })),
  );
}

/** Runs of ops_test: once for each environment, all ops or those that are timed (the whole step has no test of its own there). */
function checks(backends, ops) {
  const seen = new Map();
  for (const { env, tests } of backends) {
    const where = tests === '/test.cpp' ? 'the CPU' : (env.GEMMATUNE_TEST_DEVICE ?? 'the emulated GPU');
    const set = tests === '/test.cpp' ? Object.values(env).join('') : '';
    const title = `the ops' tests on ${where}${set && ` (${Object.keys(env)}=${set})`}`;
    const named = ops.filter((op) => op !== 'step').map((op) => `ops/${op}${tests}`);
    const all = ops.length > 0 ? named : [tests === '/test.cpp' ? '!gpu_test' : 'gpu_test'];
    if (all.length > 0) seen.set(title, { title, env, filters: all });
  }
  return [...seen.values()];
}

async function buildPrograms(signal) {
  if (!existsSync(join(build, 'CMakeCache.txt')))
    throw new Error(`native/build is not there, so ops_bench cannot be built; run: npm run build:native`);
  const targets = ['ops_bench', 'ops_test'].flatMap((target) => ['--target', target]);
  await execute('cmake', ['--build', build, ...targets, '-j', '2'], {}, signal);
}

/** @returns {Promise<number>} how many tests passed */
async function passedTests({ title, env, filters }, signal) {
  let passed = 0;
  for (const filter of filters) {
    const { stdout } = await program('ops_test', [filter], env, signal).catch((error) => {
      throw new Error(`${title} failed, and what is wrong has no speed: ${error.message}`);
    });
    passed += Number(stdout.match(/^(\d+) passed/m)[1]);
  }
  return passed;
}

const program = (name, args, env, signal) => execute(join(build, name), args, env, signal);

/** @throws Error with the last line that the program wrote */
async function execute(command, args, env, signal) {
  try {
    return await promisify(execFile)(command, args, { env: { ...process.env, ...env }, signal, maxBuffer: 2 ** 26 });
  } catch (error) {
    signal?.throwIfAborted();
    const said = `${error.stdout ?? ''}\n${error.stderr ?? ''}`.trim().split('\n');
    throw new Error(
      `${command.split('/').at(-1)} failed (${error.code ?? error.signal}): ${said.slice(-3).join(' ').trim()}`,
    );
  }
}

/**
 * Output of one run of ops_bench.
 * @param {string} stdout
 * @returns {{ instructionSet?: string, limits: object[], calls: object[] }} seconds, bytes, flops and their rates
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

const rate = ({ bytesPerSecond, flopsPerSecond }) => bytesPerSecond ?? flopsPerSecond;
const key = (...parts) => parts.join('|');
const limitKey = (line, name) => key(line.device, line.instructionSet, name);

/**
 * The highest limits and the shortest time of each call; shares are of those limits.
 * @param {ReturnType<typeof parseRun>[]} runs
 * @returns {object[]} limits first, then calls
 */
export function bestOf(runs) {
  const limits = new Map();
  for (const line of runs.flatMap((run) => run.limits)) {
    const known = limits.get(limitKey(line, line.limit));
    if (!known || rate(line) > rate(known)) limits.set(limitKey(line, line.limit), line);
  }
  const calls = new Map();
  for (const run of runs) {
    for (const call of run.calls) {
      const id = key(call.device, call.instructionSet, call.dtype, call.op, call.shape);
      if (calls.get(id)?.seconds <= call.seconds) continue;
      const own = run.limits.find(({ limit }) => limit === call.boundBy);
      const highest = limits.get(limitKey(call, call.boundBy));
      calls.set(id, { ...call, share: own ? (call.share * rate(own)) / rate(highest) : null });
    }
  }
  return [...limits.values(), ...calls.values()];
}

/** The model's products at the rows of a training pass: decoding, with its few rows, waits for memory. */
const isProduct = ({ op, shape }) => op?.startsWith('matmul_') && Number(shape.match(/ (\d+)x/)[1]) > 64;

/**
 * @param {object[]} results of bestOf
 * @returns {{ what: string, bar: number, value: number, unit: string, met: boolean, at: string }[]} `at`: the product with that share
 */
export function bars(results) {
  return BARS.flatMap(({ instructionSet, dtype, bar }) => {
    const products = results.filter(
      (line) =>
        isProduct(line) && line.instructionSet === instructionSet && line.dtype === dtype && line.share !== null,
    );
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
 * @param {object[]} results of bestOf
 * @returns {string[]}
 */
export function tables(results) {
  const limits = results.filter(({ limit }) => limit);
  const titles = [...new Set(results.filter(({ op }) => op).map(heading))];
  return titles.map((title) => {
    const calls = results.filter((line) => line.op && heading(line) === title);
    const own = limits.filter(
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

const heading = ({ device, instructionSet, dtype }) => [device, instructionSet, dtype].filter(Boolean).join(', ');
const giga = (perSecond) => (perSecond === 0 ? '' : (perSecond * 1e-9).toPrecision(4));
const percent = (share) => (share === null ? '' : `${(100 * share).toFixed(0)} %`);

function aligned(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const cell = (text, column) =>
    column < 2 || column === 6 ? text.padEnd(widths[column]) : text.padStart(widths[column]);
  return rows.map((row) => row.map(cell).join('  ').trimEnd()).join('\n');
}
