// Every op on every backend of this machine at the 270M shapes, against what the machine can do at most, by the native program ops_bench.
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bars, bestOf, parseRun, tables } from '../measure/op-times.mjs';
import { chosen } from '../measure/options.mjs';

const native = fileURLToPath(new URL('../../native', import.meta.url));
const build = join(native, 'build');
const DTYPES = ['bfloat16', 'float32'];

/**
 * Instruction sets of the CPU that the environment chooses; `dtypes`: what a model would compute with there.
 * @type {Record<string, { env: Record<string, string>, dtypes: string[], below?: RegExp }>}
 */
const FAMILIES = {
  best: { env: {}, dtypes: DTYPES },
  'no-amx': { env: { GEMMATUNE_AMX: '0' }, dtypes: DTYPES, below: /amx/ },
  avx512: { env: { GEMMATUNE_CPU: 'avx512' }, dtypes: ['float32'], below: /^avx512\+/ },
  avx2: { env: { GEMMATUNE_CPU: 'avx2' }, dtypes: ['float32'], below: /^avx512/ },
  portable: { env: { GEMMATUNE_CPU: 'portable' }, dtypes: ['float32'], below: /^avx/ },
};

/**
 * @typedef {object} Backend a run of ops_bench
 * @property {string} title
 * @property {string[]} args
 * @property {Record<string, string>} env
 * @property {'/test.cpp' | '/gpu_test.cpp'} tests
 */

const OPTIONS = {
  ops: {
    default: '',
    help: 'Ops to time, by commas: folders of native/ops, by default all; step for a whole training step.',
  },
  families: {
    default: 'best,avx2',
    help: `Instruction sets of the CPU, by commas: ${Object.keys(FAMILIES).join(', ')}; those that this CPU has.`,
  },
  dtypes: { default: DTYPES.join(','), help: 'Data types of the model on the CPU, by commas.' },
  threads: { default: '0', help: 'CPU threads; 0 = one for each core.' },
  seconds: { default: '0.15', help: 'Time for each call, if it takes less than that.' },
  repeat: {
    default: '1',
    help: 'Rounds over everything; the best time of a call counts, for others use the machine too.',
  },
  emulated: { default: false, help: 'The emulated GPU too; its times mean nothing.' },
};

/** @type {import('./index.mjs').Suite<typeof OPTIONS>} */
export const kernels = {
  summary: 'Every op on every backend: time, GB/s, FLOP/s, and the share of what this machine can do at most.',
  options: OPTIONS,
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
    /** @type {{ what: string, passed: number }[]} */
    const checked = [];
    for (const check of checks(backends, ops)) {
      note(`checking ${check.title}`);
      checked.push({ what: check.title, passed: await passedTests(check, signal) });
    }
    const timed = ops.length > 0 ? ops : opNames();
    const words = ['--seconds', options.seconds, '--threads', options.threads, ...timed];
    /** @type {ReturnType<typeof parseRun>[]} */
    const runs = [];
    for (let round = 1; round <= rounds; round++)
      for (const { title, args, env } of backends) {
        note(`timing ${title}${rounds > 1 ? `, round ${round} of ${rounds}` : ''}`);
        const { stdout } = await program('ops_bench', [...args, ...words], env, signal);
        runs.push(parseRun(stdout));
      }
    const best = bestOf(runs);
    for (const text of tables(best)) note(text);
    if (best.calls.some(({ share }) => (share ?? 0) > 1))
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
    return { settings, results: [...best.limits, ...best.calls], bars: bars(best.calls) };
  },
};

const opNames = () =>
  readdirSync(join(native, 'ops'), { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [entry.name] : [],
  );

/**
 * Families that are not below this CPU's best would only repeat it.
 * @param {string} instructionSet
 * @param {readonly string[]} families
 * @param {readonly string[]} dtypes
 * @returns {Backend[]}
 */
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

/**
 * The first GPU on its own code path and on that of a T4; its tests run on both.
 * @param {readonly { device: string, path: string }[]} gpus
 * @param {boolean} emulated
 * @returns {Backend[]}
 */
function gpuBackends(gpus, emulated) {
  /** @type {{ device: string, path: string, env: Record<string, string> }[]} */
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

/**
 * Runs of ops_test: once for each environment, all ops or those that are timed (the whole step has no test of its own there).
 * @param {readonly Backend[]} backends
 * @param {readonly string[]} ops
 */
function checks(backends, ops) {
  /** @type {Map<string, { title: string, env: Record<string, string>, filters: string[] }>} */
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

/** @param {AbortSignal} signal */
async function buildPrograms(signal) {
  if (!existsSync(join(build, 'CMakeCache.txt')))
    throw new Error(`native/build is not there, so ops_bench cannot be built; run: npm run build:native`);
  const targets = ['ops_bench', 'ops_test'].flatMap((target) => ['--target', target]);
  await execute('cmake', ['--build', build, ...targets, '-j', '2'], {}, signal);
}

/**
 * @param {ReturnType<typeof checks>[number]} check
 * @param {AbortSignal} signal
 * @returns {Promise<number>} how many tests passed
 */
async function passedTests({ title, env, filters }, signal) {
  let passed = 0;
  for (const filter of filters) {
    const { stdout } = await program('ops_test', [filter], env, signal).catch((error) => {
      throw new Error(`${title} failed, and what is wrong has no speed: ${error.message}`);
    });
    passed += Number(stdout.match(/^(\d+) passed/m)?.[1]);
  }
  return passed;
}

/** @param {string} name @param {string[]} args @param {Record<string, string>} env @param {AbortSignal} signal */
const program = (name, args, env, signal) => execute(join(build, name), args, env, signal);

/**
 * @param {string} command
 * @param {string[]} args
 * @param {Record<string, string>} env
 * @param {AbortSignal} signal
 * @throws Error with the last lines that the program wrote
 */
async function execute(command, args, env, signal) {
  try {
    return await promisify(execFile)(command, args, { env: { ...process.env, ...env }, signal, maxBuffer: 2 ** 26 });
  } catch (error) {
    signal.throwIfAborted();
    const {
      stdout = '',
      stderr = '',
      code,
      signal: killedBy,
    } = /** @type {import('node:child_process').ExecFileException} */ (error);
    const said = `${stdout}\n${stderr}`.trim().split('\n');
    throw new Error(`${command.split('/').at(-1)} failed (${code ?? killedBy}): ${said.slice(-3).join(' ').trim()}`);
  }
}
