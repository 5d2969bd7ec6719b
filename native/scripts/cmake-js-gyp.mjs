#!/usr/bin/env node
// Stands in for node-gyp, which prebuildify calls as `rebuild --target=V --devdir=... --arch=A --release`: has cmake-js build the
// addon that is published (cmake/node.cmake), from the objects of the checkout's own build.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const cmakeJs = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js');
const native = fileURLToPath(new URL('..', import.meta.url));
const args = ['build', '--directory', native, '--target', 'gemmatune_prebuilt', '--log-level', 'error'];
process.exit(spawnSync(process.execPath, [cmakeJs, ...args], { stdio: 'inherit' }).status ?? 1);
