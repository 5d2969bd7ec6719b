// native/prebuilds/<platform>/gemmatune_native.<libc>.node, which node-gyp-build finds in the published package. On Linux with
// glibc the addon is linked for glibc 2.28, Node 20's own floor, on any newer machine (native/cmake/old_glibc.cmake); what it needs
// is printed, and `--require-floor` fails where that is more.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const native = fileURLToPath(new URL('../native', import.meta.url));

/** @param {string[]} args */
function run(args) {
  const { status } = spawnSync(process.execPath, args, { cwd: native, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

rmSync(join(native, 'prebuilds'), { recursive: true, force: true });
mkdirSync(join(native, 'build/prebuild'), { recursive: true });
const options = [
  '--napi',
  '--strip',
  '--tag-libc',
  '--name',
  'gemmatune_native',
  '--out',
  '.',
  '--cwd',
  'build/prebuild',
];
run(['node_modules/prebuildify/bin.js', ...options, '--node-gyp', join(native, 'scripts/cmake-js-gyp.mjs')]);

const made = readdirSync(join(native, 'prebuilds'), { encoding: 'utf8', recursive: true }).filter((path) =>
  path.endsWith('.node'),
);
for (const path of made) console.log(`made native/prebuilds/${path}`);
// Beside it the plug-in for Gloo, where this machine has built it: it needs the system's own libgloo.so.0 where it is used.
const plugin = join(native, 'build/Release/gemmatune_gloo.so');
if (existsSync(plugin)) copyFileSync(plugin, join(native, 'prebuilds', dirname(made[0]), 'gemmatune_gloo.so'));
else console.log('without gemmatune_gloo.so: this machine has no Gloo (Debian: libgloo-dev)');
const floor = process.argv.includes('--require-floor') ? ['--require-floor'] : [];
if (process.platform === 'linux')
  run(['scripts/check-addon.mjs', ...floor, ...made.map((path) => join('prebuilds', path))]);
