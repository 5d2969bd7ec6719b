'use strict';
// Finds and loads the addon: GEMMATUNE_NATIVE_PATH, else a build of this checkout, else the package's prebuilt binary. Never compiles.
const { existsSync } = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '..');

function failure(found, advice, cause) {
  const error = new Error(`gemmatune-native: ${found}; ${advice}`, { cause });
  error.code = 'ERR_GEMMATUNE_NATIVE';
  return error;
}

/** The glibc of this process, undefined where it has none (musl, other systems). The report is slow: for failures only. */
const glibc = () => process.report.getReport().header.glibcVersionRuntime;

/** How to get a binary for a system that no published one is for. */
const BUILD = 'build it from a checkout of the repository: npm run setup';
const PUBLISHED = 'published binaries are for linux-x64 with glibc 2.28 or newer';

function locate() {
  const override = process.env.GEMMATUNE_NATIVE_PATH;
  if (override) {
    const file = path.resolve(override);
    if (existsSync(file)) return file;
    throw failure(
      `GEMMATUNE_NATIVE_PATH is ${override}, where there is no file`,
      'correct the path or unset the variable',
    );
  }
  try {
    return require('node-gyp-build').path(root);
  } catch (cause) {
    const here = `${process.platform}-${process.arch}`;
    if (existsSync(path.join(root, 'CMakeLists.txt')))
      throw failure('this checkout has no native build yet', 'make one: npm run setup', cause);
    if (here !== 'linux-x64') throw failure(`there is no binary for ${here}`, `${PUBLISHED}; ${BUILD}`, cause);
    if (glibc() === undefined)
      throw failure(
        'there is no binary for this Linux, whose C library is not glibc (Alpine?)',
        `${PUBLISHED}; use an image with glibc such as debian or node:slim, or ${BUILD}`,
        cause,
      );
    throw failure(
      `${path.join(root, 'prebuilds', here)} has no binary`,
      'the package is incomplete: install it again',
      cause,
    );
  }
}

function load(file) {
  try {
    return require(file);
  } catch (cause) {
    const [, wanted] = cause.message.match(/version [`']((?:GLIBC|GLIBCXX|CXXABI)_[\d.]+)' not found/) ?? [];
    if (wanted)
      throw failure(
        `${file} needs ${wanted}, this system has glibc ${glibc()}`,
        `use a newer system, or ${BUILD}`,
        cause,
      );
    throw failure(
      `${file} does not load: ${cause.message.split('\n')[0]}`,
      `delete it and install the package again, or ${BUILD}`,
      cause,
    );
  }
}

module.exports = load(locate());
