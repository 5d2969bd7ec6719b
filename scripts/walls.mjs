// The walls between rooms that neither pnpm nor cmake keeps by itself (ARCHITECTURE.md, "Who may import whom"). Prints every breach.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

function* files(folder) {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    if (['node_modules', 'dist', 'build', 'prebuilds', '.git'].includes(entry.name)) continue;
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) yield* files(path);
    else yield path;
  }
}

const breaches = [];
function check(path, text, pattern, why) {
  text.split('\n').forEach((line, i) => {
    if (pattern.test(line)) breaches.push(`${path}:${i + 1}: ${why}\n    ${line.trim()}`);
  });
}

/** Folders of native/ whose headers a folder may include. */
const NATIVE = {
  cpu: ['cpu', 'core'],
  gpu: ['gpu', 'core'],
  core: ['core', 'gpu'],
  ops: ['ops', 'core', 'cpu', 'gpu'],
  comm: ['comm', 'core'],
  model: ['model', 'comm', 'ops', 'core'],
  training: ['training', 'model', 'comm', 'ops', 'core'],
  api: ['api', 'training', 'model', 'comm', 'ops', 'core', 'cpu', 'gpu'],
  bind: ['bind', 'api'],
};

for (const path of files('native')) {
  if (!/\.(h|cpp|cu)$/.test(path)) continue;
  const text = readFileSync(join(root, path), 'utf8').replace(/\/\/.*$/gm, ''); // comments may say what code may not do
  const room = path.split('/')[1];
  const isTest = ['testing', 'bench'].includes(room) || /(^|\/|_)test\.(cpp|cu)$|\/test_\w+\.(h|cpp|cu)$/.test(path);
  if (NATIVE[room] && !isTest)
    for (const [, folder] of text.matchAll(/#include "([a-z_]+)\//g))
      if (!NATIVE[room].includes(folder))
        breaches.push(`${path}: includes "${folder}/...", which ${room}/ may not see`);
  if (!isTest)
    check(
      path,
      text,
      /\b(printf|fprintf|puts)\(|std::(cout|cerr)|(?<!\.)\b(abort|exit)\(/,
      'library code never prints, aborts or exits',
    );
  if (room !== 'bind') check(path, text, /#include <(napi|node_api)/, "Node's headers belong to bind/");
  if (!['gpu', 'ops', 'cpu', 'bench'].includes(room))
    check(
      path,
      text,
      /\basm\b|__CUDA_ARCH__|immintrin\.h/,
      'instructions belong to gpu/, cpu/ and ops/, their limits to bench/',
    );
  if (room === 'ops' && !isTest) check(path, text, /gemma(?!tune)/i, 'an op does not know the model');
}

/** Workspace packages that each package may import: those that its own package.json names. */
const mayImport = Object.fromEntries(
  readdirSync(join(root, 'packages')).map((room) => {
    const manifest = JSON.parse(readFileSync(join(root, 'packages', room, 'package.json'), 'utf8'));
    return [room, Object.keys(manifest.dependencies)];
  }),
);

for (const path of files('packages')) {
  if (!/\/src\/.*\.ts$/.test(path)) continue;
  const text = readFileSync(join(root, path), 'utf8');
  const room = path.split('/')[1];
  const isTest = /\.(test|case)\.ts$/.test(path);
  if (!isTest)
    for (const [, name] of text.matchAll(/from '(@gemmatune\/[a-z]+)'/g))
      if (!mayImport[room].includes(name)) breaches.push(`${path}: imports ${name}, which ${room} may not see`);
  if (room !== 'engine' && !isTest) check(path, text, /['"]gemmatune-native['"]/, 'only engine touches the addon');
  if (room !== 'cli' && !isTest) check(path, text, /\bconsole\.|process\.exit\b/, 'library code never prints or exits');
}

// Every CPU kernel file is compiled once per instruction set: a weak symbol in one would be merged with its twin of another.
for (const build of ['native/build', 'native/build/test']) {
  const objects = join(root, build, 'CMakeFiles');
  try {
    statSync(objects);
  } catch {
    continue;
  }
  for (const path of files(relative(root, objects))) {
    if (!/kernels_(portable|avx|amx)\w*\.dir\/.*\.o$/.test(path)) continue;
    const symbols = spawnSync('nm', ['-C', join(root, path)], { encoding: 'utf8' }).stdout ?? '';
    for (const line of symbols.split('\n'))
      if (/ [WVu] /.test(line)) breaches.push(`${path}: weak symbol ${line.trim()}`);
  }
}

if (breaches.length) {
  console.error(`${breaches.join('\n')}\n${breaches.length} breach(es)`);
  process.exit(1);
}
console.log('walls: no breach');
