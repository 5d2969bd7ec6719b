'use strict';
// Finds and loads the addon: GEMMATUNE_NATIVE_PATH, then a build of this checkout, then the prebuilt binary of this package.
const path = require('node:path');

function load() {
  const override = process.env.GEMMATUNE_NATIVE_PATH;
  if (override) return require(path.resolve(override));
  return require('node-gyp-build')(path.join(__dirname, '..'));
}

try {
  module.exports = load();
} catch (cause) {
  const glibc = process.report?.getReport().header?.glibcVersionRuntime;
  const here = `${process.platform}-${process.arch}, Node ${process.version}, ${glibc ? `glibc ${glibc}` : 'no glibc'}`;
  const hint =
    process.platform !== 'linux' || process.arch !== 'x64'
      ? 'prebuilt binaries exist for linux-x64 (glibc 2.28 or newer); elsewhere build from a checkout with `npm run setup`'
      : glibc
        ? 'reinstall the package, or build from a checkout with `npm run setup`'
        : 'this Linux has no glibc (Alpine?): use a Debian image, or build from a checkout with `npm run setup`';
  const error = new Error(`gemmatune-native could not be loaded on ${here}: ${cause.message.split('\n')[0]}; ${hint}`, {
    cause,
  });
  error.code = 'ERR_GEMMATUNE_NATIVE';
  throw error;
}
