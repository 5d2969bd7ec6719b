#!/usr/bin/env node
// prebuildify calls a node-gyp: `rebuild --target=V --devdir=... --arch=A --release`. This says the same to cmake-js.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const option = (name) => process.argv.find((a) => a.startsWith(`--${name}=`))?.split('=')[1];
const args = [require.resolve('cmake-js/bin/cmake-js'), 'rebuild', '--silent', '--arch', option('arch') ?? process.arch];
if (process.env.GEMMATUNE_SYSROOT) args.push(`--CDCMAKE_TOOLCHAIN_FILE=${fileURLToPath(new URL('../cmake/old_glibc.cmake', import.meta.url))}`);
process.exit(spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1);
