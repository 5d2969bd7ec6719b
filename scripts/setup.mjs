// Everything a fresh clone needs, done only where it is missing: a compiler and cmake, the workspace's packages, the native build,
// the TypeScript build. `npm run setup`; `npm test` and `npm run quickstart` start with it.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (result.status !== 0) {
    console.error(`\nsetup: \`${command} ${args.join(' ')}\` failed${result.error ? `: ${result.error.message}` : ''}`);
    process.exit(1);
  }
}

const has = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 17)) return;
  console.error(`setup: this is Node ${process.versions.node}; gemmatune needs 20.17 or newer (https://nodejs.org)`);
  process.exit(1);
}

/** A C++ compiler, make or ninja, and cmake: installed with apt where that is possible, else the line to run is printed. */
function installToolchain() {
  const compiler = has(process.env.CXX ?? 'c++') || has('g++') || has('clang++');
  if (compiler && has('cmake') && (has('make') || has('ninja'))) return;
  const packages = ['build-essential', 'cmake'];
  const debian = existsSync('/etc/debian_version') && has('apt-get');
  if (debian && process.getuid?.() === 0) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    run('apt-get', ['update', '-qq'], { env });
    run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { env });
    return;
  }
  const line = debian
    ? `sudo apt-get install -y ${packages.join(' ')}`
    : 'install g++ 11 or newer, make and cmake 3.21 or newer with your system package manager';
  console.error(`setup: the native build needs a C++ compiler and cmake. Run this, then start again:\n  ${line}`);
  process.exit(1);
}

checkNode();
installToolchain();
const major = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).packageManager.match(
  /pnpm@(\d+)/,
)[1];
run('npx', ['--yes', `pnpm@${major}`, 'install', '--frozen-lockfile', '--prefer-offline']);
run(process.execPath, ['scripts/build.mjs']);
