// All tests, in the order in which a failure is easiest to read. `npm test` calls this after setup; `npm test -- --only vitest,walls` runs some steps,
// in this order too.
import { spawn, spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildNative } from './native/build.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** @param {string} name @param {string} command @param {string[]} args */
function run(name, command, args, env = {}) {
  console.log(`\n== ${name}`);
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
  if (result.status !== 0) {
    console.error(`\n${name}: failed`);
    process.exit(1);
  }
}

const bin = (/** @type {string} */ name) => `node_modules/.bin/${name}`;

/**
 * Builds native/build/<folder>; the kernels that nvcc compiles have a step of their own.
 * @param {string} folder
 * @param {Record<string, string>} options
 * @param {string[]} targets
 */
function build(folder, options = {}, targets = []) {
  const path = `native/build/${folder}`;
  console.log(`\n== build ${path}`);
  const request = {
    source: join(root, 'native'),
    options: { GEMMATUNE_TESTS: 'ON', GEMMATUNE_CUDA: 'OFF', ...options },
  };
  return buildNative(path, join(root, path), request, targets);
}
/** @param {string} folder @param {string} name @param {string[]} args @param {Record<string, string>} env */
const test = (folder, name, args = [], env = {}, note = '') => ({
  title: `${name} ${args.join(' ')} (${folder}${note && `, ${note}`})`,
  command: `native/build/${folder}/${name}`,
  args,
  env,
});

/** Runs all of them, one for each core at a time; the output of each comes in one piece. @param {ReturnType<typeof test>[]} all */
async function together(all) {
  const waiting = [...all];
  async function work() {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const { title, command, args, env } = next;
      const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env } });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
      const status = await new Promise((done) => child.on('close', done).on('error', () => done(1)));
      console.log(`\n== ${title}\n${output.trimEnd()}`);
      if (status === 0) continue;
      console.error(`\n${title}: failed`);
      process.exit(1);
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work));
}

// GEMMATUNE_CPU lowers the instruction set, GEMMATUNE_AMX=0 leaves the tile unit out: where the machine lacks one, its run repeats
// the next lower one.
/** @type {[level: string, env: Record<string, string>][]} */
const LEVELS = [
  ['best', {}],
  ['no amx', { GEMMATUNE_AMX: '0' }],
  ['plain avx512', { GEMMATUNE_CPU: 'avx512' }],
  ['avx2', { GEMMATUNE_CPU: 'avx2' }],
  ['portable', { GEMMATUNE_CPU: 'portable' }],
];
// The emulated GPU: other schedules, asynchronous copies as late as may be, tensor cores that cut instead of round.
const UNKIND = { GEMMATUNE_EMULATOR: 'seed=2,landing=at_wait,mma=4' };

/** What each step runs. @type {Record<string, () => void | Promise<void>>} */
const STEPS = {
  style: () => run('style', bin('biome'), ['check', '.']),
  walls: () => run('walls', process.execPath, ['scripts/walls.mjs']),
  unused: () => run('what nothing uses', bin('knip'), ['--no-progress']),
  types: () => {
    run('types of tests', bin('tsc'), ['-p', 'test/tsconfig.json']);
    run('types of scripts, bench and tools', bin('tsc'), ['-p', 'tsconfig.js.json']); // reads the packages' built types
  },
  // On every instruction set this machine has, and on the emulated GPU.
  native: async () => {
    await build('test');
    await together([
      test('test', 'ops_test', ['gpu_test']),
      test('test', 'ops_test', ['gpu_test'], UNKIND, 'unkind'),
      test('test', 'gpu_test'),
      test('test', 'core_test'),
      test('test', 'comm_test'),
      test('test', 'golden_test'),
      ...LEVELS.map(([level, env]) => test('test', 'ops_test', ['!gpu_test'], env, level)),
    ]);
  },
  sanitizers: async () => {
    await build('sanitize', { GEMMATUNE_SANITIZE: 'address,undefined' });
    await build('tsan', { GEMMATUNE_SANITIZE: 'thread' }, ['gpu_test', 'comm_test']);
    await together([
      test('sanitize', 'ops_test', ['gpu_test']),
      test('sanitize', 'ops_test', ['!gpu_test']),
      test('sanitize', 'gpu_test'),
      test('sanitize', 'core_test'),
      test('sanitize', 'comm_test'),
      test('sanitize', 'golden_test'),
      test('tsan', 'gpu_test'),
      test('tsan', 'comm_test'),
    ]);
  },
  // What nvcc makes of them.
  kernels: () => run('compiled kernels', process.execPath, ['scripts/kernel-gates.mjs']),
  vitest: () => run('vitest', bin('vitest'), ['run']),
  prebuilds: () => {
    const floor = process.env.CI ? ['--require-floor'] : [];
    run('prebuilt addon', process.execPath, ['scripts/make-prebuilds.mjs', ...floor]);
  },
  install: () => run('install of the packed packages', process.execPath, ['scripts/test-install.mjs']),
};

const { values } = parseArgs({ options: { only: { type: 'string' } } });
const names = Object.keys(STEPS);
const only = values.only?.split(',') ?? names;
const unknown = only.find((name) => !names.includes(name));
if (unknown !== undefined) {
  console.error(`--only: there is no step '${unknown}', expected some of ${names.join(',')}`);
  process.exit(2);
}
console.log(`steps: ${names.map((name) => (only.includes(name) ? name : `(${name})`)).join(' ')}`);
for (const name of names) if (only.includes(name)) await STEPS[name]();
