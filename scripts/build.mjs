// Builds the addon (cmake-js) and the TypeScript packages (tsc -b); both are incremental. `build.mjs native` builds the addon alone.
// Node-API's headers come with npm packages: nothing else is downloaded. Quiet, unless there is something to compile, or a warning or an error.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildNative, run, stop } from './native/build.mjs';
import { cudaOption, readConfiguration } from './native/configuration.mjs';
import { sweepDist } from './sweep-dist.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const native = join(root, 'native');
const build = join(native, 'build');
const node = process.execPath;

const module = (path) => join(native, 'node_modules', path);
if (!existsSync(module('cmake-js'))) stop('native/node_modules has no cmake-js; `npm run setup` installs it');

function cuda() {
  const said = process.env.GEMMATUNE_CUDA;
  try {
    return cudaOption(said, readConfiguration(build)?.cuda, existsSync('/proc/driver/nvidia'));
  } catch (error) {
    return stop(/** @type {Error} */ (error).message);
  }
}

await buildNative('the native core', build, {
  source: native,
  options: { GEMMATUNE_CUDA: cuda() },
  packages: [module('node-addon-api'), module('node-api-headers')],
  cmakeJs: module('cmake-js/bin/cmake-js'),
});
if (process.platform === 'linux')
  run('the check of the addon', [node, 'scripts/check-addon.mjs', 'build/Release/gemmatune_native.node'], {
    cwd: native,
  });
if (process.argv[2] !== 'native') {
  for (const name of readdirSync(join(root, 'packages'))) sweepDist(join(root, 'packages', name));
  run('tsc -b', [node, join(root, 'node_modules/typescript/bin/tsc'), '-b', '--pretty', 'false'], { cwd: root });
}
