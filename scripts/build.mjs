// Builds the addon (cmake-js) and the TypeScript packages (tsc -b); both are incremental. `build.mjs native` builds the addon alone.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

function run(args, cwd) {
  const result = spawnSync(process.execPath, args, { cwd, stdio: 'inherit' });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

run(
  [fileURLToPath(new URL('../native/node_modules/cmake-js/bin/cmake-js', import.meta.url)), 'compile', '--silent'],
  fileURLToPath(new URL('../native', import.meta.url)),
);
if (process.argv[2] !== 'native')
  run([fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url)), '-b'], root);
