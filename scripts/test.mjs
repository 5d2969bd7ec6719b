// All tests, in the order in which a failure is easiest to read: style and walls, types, native tests (plain, then under ASan and
// UBSan, on every instruction set this machine has), then vitest. `npm test` calls this after setup.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const jobs = String(availableParallelism());

function step(name, command, args, env = {}) {
  console.log(`\n== ${name}`);
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
  if (result.status !== 0) {
    console.error(`\n${name}: failed`);
    process.exit(1);
  }
}

const bin = (name) => `node_modules/.bin/${name}`;
function native(folder, options, levels) {
  step(`configure native/build/${folder}`, 'cmake', [
    '-S',
    'native',
    '-B',
    `native/build/${folder}`,
    '-DGEMMATUNE_TESTS=ON',
    ...options,
  ]);
  step(`build native/build/${folder}`, 'cmake', ['--build', `native/build/${folder}`, '-j', jobs]);
  for (const test of ['core_test', 'ops_test'].filter((t) => existsSync(`native/build/${folder}/${t}`)))
    for (const [level, env] of levels) step(`${test} (${folder}, ${level})`, `native/build/${folder}/${test}`, [], env);
}

// GEMMATUNE_CPU lowers the instruction set, GEMMATUNE_AMX=0 leaves the tile unit out: where the machine lacks one, its run repeats
// the next lower one.
const LEVELS = [
  ['best', {}],
  ['no amx', { GEMMATUNE_AMX: '0' }],
  ['plain avx512', { GEMMATUNE_CPU: 'avx512' }],
  ['avx2', { GEMMATUNE_CPU: 'avx2' }],
  ['portable', { GEMMATUNE_CPU: 'portable' }],
];

step('style', bin('biome'), ['check', '.']);
step('walls', process.execPath, ['scripts/walls.mjs']);
step('types of tests', bin('tsc'), ['-p', 'test/tsconfig.json']);
native('test', [], LEVELS);
native('sanitize', ['-DGEMMATUNE_SANITIZE=address,undefined'], LEVELS.slice(0, 1));
step('vitest', bin('vitest'), ['run']);
step('prebuilt addon', process.execPath, [
  'scripts/make-prebuilds.mjs',
  ...(process.env.CI ? ['--require-floor'] : []),
]);
step('install of the packed packages', process.execPath, ['scripts/test-install.mjs']);
