// Everything a fresh clone needs, done only where it is missing: a compiler and cmake, the workspace's packages, the native build,
// the TypeScript build. `npm run setup`; `npm test` and `npm run quickstart` start with it.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

function stop(sentence) {
  console.error(`setup: ${sentence}`);
  process.exit(1);
}

function run(command, args, env = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
  if (status !== 0) stop(`\`${command} ${args.join(' ')}\` failed${error ? `: ${error.message}` : ''}`);
}

const has = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 17))
    stop(`this is Node ${process.versions.node}, gemmatune needs 20.17 or newer: https://nodejs.org/en/download`);
}

/** A C++ compiler, make or ninja, and cmake: installed with apt where that is possible, else the line to run is printed. */
function installToolchain() {
  const missing = () => [
    ...(process.env.CXX || has('c++') || has('g++') || has('clang++') ? [] : ['a C++ compiler']),
    ...(has('make') || has('ninja') ? [] : ['make']),
    ...(has('cmake') ? [] : ['cmake']),
  ];
  if (missing().length === 0) return;
  const managers = [
    ['apt-get', 'apt-get install -y build-essential cmake'],
    ['dnf', 'dnf install -y gcc-c++ make cmake'],
    ['apk', 'apk add build-base cmake linux-headers'],
    ['pacman', 'pacman -S --needed base-devel cmake'],
    ['zypper', 'zypper install -y gcc-c++ make cmake'],
    ['brew', 'brew install cmake'],
  ];
  const [manager, line] = managers.find(([command]) => has(command)) ?? [];
  const isRoot = process.getuid?.() === 0;
  if (manager === 'apt-get' && isRoot) {
    console.log(`setup: ${missing().join(', ')} missing, installing with apt-get`);
    const env = { DEBIAN_FRONTEND: 'noninteractive' };
    run('apt-get', ['update', '-qq'], env);
    run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'build-essential', 'cmake'], env);
    if (missing().length === 0) return;
  }
  const sudo = isRoot || manager === 'brew' ? '' : 'sudo ';
  const advice = line
    ? `Run this, then start again:\n  ${sudo}${line}`
    : 'Install g++ 11 or newer, make and cmake 3.21 or newer, then start again.';
  stop(`the native build needs what is missing here: ${missing().join(', ')}. ${advice}`);
}

/** The workspace's packages, from the lockfile; skipped where the last install saw the same files and all it made is there. */
function installPackages() {
  const packages = readdirSync(join(root, 'packages')).map((name) => `packages/${name}`);
  const folders = ['.', 'bench', 'native', 'test', ...packages];
  const manifests = folders
    .map((folder) => join(folder, 'package.json'))
    .filter((path) => existsSync(join(root, path)));
  const hash = createHash('sha256').update(process.version);
  for (const path of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', ...manifests])
    hash.update(`\n${path}\n`).update(readFileSync(join(root, path)));
  const wanted = hash.digest('hex');
  const stamp = join(root, 'node_modules/.gemmatune-setup');

  const linked = manifests.every((path) => {
    const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, path), 'utf8'));
    return Object.keys({ ...dependencies, ...devDependencies }).every((name) =>
      existsSync(join(root, path, '../node_modules', name, 'package.json')),
    );
  });
  if (linked && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;

  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const major = packageManager.match(/^pnpm@(\d+)/)[1];
  run('npx', ['--yes', `pnpm@${major}`, 'install', '--frozen-lockfile', '--prefer-offline'], {
    npm_config_update_notifier: 'false',
  });
  writeFileSync(stamp, wanted);
}

checkNode();
installToolchain();
installPackages();
run(process.execPath, ['scripts/build.mjs']);
