// Builds the addon (cmake-js) and the TypeScript packages (tsc -b); both are incremental. `build.mjs native` builds the addon alone.
// Node-API's headers come with npm packages: nothing else is downloaded. Quiet, unless there is a warning or an error to see.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const native = join(root, 'native');
const build = join(native, 'build');

function run(what, args, cwd) {
  const options = { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1e9 };
  const { status, stdout, stderr, error } = spawnSync(process.execPath, args, options);
  const output = `${stdout}${stderr}`;
  if (status !== 0 || /warning:/i.test(output)) console.error(output.trimEnd());
  if (status === 0) return;
  console.error(`build: ${what} failed${error ? `: ${error.message}` : ''}`);
  process.exit(1);
}

/** CMake's cache holds absolute paths: one made in another folder, or for headers that are gone, is of no use. */
function dropStaleCache() {
  const path = join(build, 'CMakeCache.txt');
  if (!existsSync(path)) return;
  const cache = readFileSync(path, 'utf8');
  const value = (name) => cache.match(new RegExp(`^${name}:\\w+=(.*)$`, 'm'))?.[1] ?? '';
  const headers = value('CMAKE_JS_INC').split(';');
  if (value('CMAKE_HOME_DIRECTORY') === realpathSync(native) && headers.every((folder) => existsSync(folder))) return;
  rmSync(build, { recursive: true });
}

/**
 * The CUDA backend takes nvcc minutes: by default it is built where there is an NVIDIA driver and nvcc, or where it was built before.
 * GEMMATUNE_CUDA=AUTO builds it wherever there is nvcc, ON insists, OFF leaves it out.
 */
function cudaOption() {
  const wanted = process.env.GEMMATUNE_CUDA;
  if (wanted) return [`--CDGEMMATUNE_CUDA=${wanted}`];
  if (existsSync(join(build, 'CMakeCache.txt'))) return [];
  return [`--CDGEMMATUNE_CUDA=${existsSync('/proc/driver/nvidia') ? 'AUTO' : 'OFF'}`];
}

dropStaleCache();
if (!existsSync(join(build, 'Release/gemmatune_native.node')))
  console.log('building the native core (a minute or two, the first time only)');
const cmakeJs = join(native, 'node_modules/cmake-js/bin/cmake-js');
run(
  'cmake',
  [cmakeJs, 'build', '--log-level', 'error', '--parallel', String(availableParallelism()), ...cudaOption()],
  native,
);
if (process.platform === 'linux')
  run('the check of the addon', ['scripts/check-addon.mjs', 'build/Release/gemmatune_native.node'], native);
if (process.argv[2] !== 'native')
  run('tsc -b', [join(root, 'node_modules/typescript/bin/tsc'), '-b', '--pretty', 'false'], root);
