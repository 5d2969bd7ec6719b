// prebuilds/<platform>/gemmatune_native.<libc>.node, which node-gyp-build finds in the published package; then checks that it needs
// no newer glibc than Node 20 itself. GEMMATUNE_SYSROOT=<folder> builds against an older glibc (native/scripts/make-sysroot.sh).
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const native = fileURLToPath(new URL('../native', import.meta.url));
const run = (args) => {
  const { status } = spawnSync(process.execPath, args, { cwd: native, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
};

rmSync(`${native}/prebuilds`, { recursive: true, force: true });
run([
  'node_modules/prebuildify/bin.js',
  '--napi',
  '--strip',
  '--tag-libc',
  '--name',
  'gemmatune_native',
  '--node-gyp',
  './scripts/cmake-js-gyp.mjs',
]);
const made = readdirSync(`${native}/prebuilds`, { recursive: true, withFileTypes: true }).filter((f) =>
  f.name.endsWith('.node'),
);
run(['scripts/glibc-check.mjs', ...made.map((f) => `${f.parentPath ?? f.path}/${f.name}`)]);
// prebuildify moves the addon out of build/: put a build back for this checkout.
run(['node_modules/cmake-js/bin/cmake-js', 'compile', '--silent']);
