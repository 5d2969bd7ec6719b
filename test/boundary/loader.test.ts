// What a user reads where the native package cannot be loaded, on systems that this one plays.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADDON } from './addon.js';

let temp: string;
/** The package as it is published, but without a binary. */
let published: string;
beforeAll(() => {
  temp = mkdtempSync(join(tmpdir(), 'gemmatune-loader-'));
  published = join(temp, 'node_modules/gemmatune-native');
  const source = dirname(dirname(realpathSync(ADDON)));
  for (const name of ['lib', 'package.json']) cpSync(join(source, name), join(published, name), { recursive: true });
  const finder = realpathSync(join(source, 'node_modules/node-gyp-build'));
  cpSync(finder, join(temp, 'node_modules/node-gyp-build'), { recursive: true });
});
afterAll(() => rmSync(temp, { recursive: true, force: true }));

/** Loads the package after `prelude`, in a process of its own. Returns "code: message", or the names that it exports. */
function load(prelude = '', env: Record<string, string> = {}): string {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [
      '-e',
      `${prelude}; try { console.log(Object.keys(require(${JSON.stringify(published)})).join()); }
       catch (e) { console.log(e.code + ': ' + e.message); }`,
    ],
    { encoding: 'utf8', env: { ...process.env, GEMMATUNE_NATIVE_PATH: '', ...env } },
  );
  expect(stderr).toBe('');
  return stdout.trim();
}
const on = (platform: string, arch: string) =>
  `Object.defineProperty(process, 'platform', { value: '${platform}' }); Object.defineProperty(process, 'arch', { value: '${arch}' })`;
const glibc = (version: string | undefined) =>
  `process.report.getReport = () => ({ header: { glibcVersionRuntime: ${JSON.stringify(version)} } })`;

describe('the native package', () => {
  it('without a binary for linux-x64 asks for a new install', () => {
    expect(load(`${on('linux', 'x64')}; ${glibc('2.36')}`)).toMatch(
      /^ERR_GEMMATUNE_NATIVE: gemmatune-native: .*prebuilds\/linux-x64 has no binary; the package is incomplete: install it again$/,
    );
  });

  it.each([
    ['darwin', 'arm64'],
    ['win32', 'x64'],
    ['linux', 'arm64'],
  ])('on %s-%s says for what there are binaries', (platform, arch) => {
    expect(load(on(platform, arch))).toBe(
      `ERR_GEMMATUNE_NATIVE: gemmatune-native: there is no binary for ${platform}-${arch}; published binaries are for linux-x64 with ` +
        'glibc 2.28 or newer; build it from a checkout of the repository: npm run setup',
    );
  });

  it('on musl says that it needs glibc', () => {
    expect(load(`${on('linux', 'x64')}; ${glibc(undefined)}`)).toMatch(
      /no binary for this Linux, whose C library is not glibc \(Alpine\?\).*debian or node:slim/,
    );
  });

  it('on a glibc that is too old names the version that is needed and the one that is there', () => {
    const binary = join(temp, 'needs-newer.cjs');
    writeFileSync(
      binary,
      `throw new Error("/lib/libm.so.6: version \`GLIBC_2.99' not found (required by x.node)\\nRequire stack: ...");`,
    );
    expect(load(glibc('2.17'), { GEMMATUNE_NATIVE_PATH: binary })).toMatch(
      /needs-newer\.cjs needs GLIBC_2\.99, this system has glibc 2\.17; use a newer system/,
    );
  });

  it('whose binary is cut short or not one says so', () => {
    const folder = join(published, 'prebuilds/linux-x64');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'gemmatune_native.glibc.node'), 'not a shared object');
    writeFileSync(join(folder, 'gemmatune_native.musl.node'), 'not a shared object');
    expect(load(on('linux', 'x64'))).toMatch(/gemmatune_native\.\w+\.node does not load: .+; delete it and install/);
    rmSync(join(published, 'prebuilds'), { recursive: true });
  });

  it('in a checkout without a build says how to make one', () => {
    writeFileSync(join(published, 'CMakeLists.txt'), '');
    expect(load()).toBe(
      'ERR_GEMMATUNE_NATIVE: gemmatune-native: this checkout has no native build yet; make one: npm run setup',
    );
    rmSync(join(published, 'CMakeLists.txt'));
  });
});

describe('GEMMATUNE_NATIVE_PATH', () => {
  it('that leads nowhere is named', () => {
    expect(load('', { GEMMATUNE_NATIVE_PATH: '/no/such/addon.node' })).toBe(
      'ERR_GEMMATUNE_NATIVE: gemmatune-native: GEMMATUNE_NATIVE_PATH is /no/such/addon.node, where there is no file; ' +
        'correct the path or unset the variable',
    );
  });

  it('is loaded before anything else', () => {
    const other = join(temp, 'other.cjs');
    writeFileSync(other, 'exports.mine = 1;');
    expect(load('', { GEMMATUNE_NATIVE_PATH: other })).toBe('mine');
  });
});
