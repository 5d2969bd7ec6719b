// What a user of the published packages gets: packs every package, looks into the tarballs, installs them with npm into an empty
// folder where PATH has no compiler and HOME is empty, and there uses the API (import and require), the types and the command line.
// Expects a finished build (`npm run setup`).
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const temp = mkdtempSync(join(tmpdir(), 'gemmatune-install-'));
process.on('exit', () => rmSync(temp, { recursive: true, force: true }));

/** @param {string} sentence @returns {never} */
function stop(sentence) {
  console.error(`test-install: ${sentence}`);
  process.exit(1);
}

/**
 * Runs to its end and returns stdout; shows all output where it fails.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} options
 */
function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1e9, ...options });
  if (result.status === 0) return result.stdout;
  console.error(result.stdout, result.stderr);
  return stop(`\`${command} ${args.join(' ')}\` failed${result.error ? `: ${result.error.message}` : ''}`);
}

const readJson = (/** @type {string} */ path) => JSON.parse(readFileSync(path, 'utf8'));

function pack() {
  const folders = ['native', ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}`)];
  const { packageManager } = readJson(join(root, 'package.json'));
  const pnpm = packageManager.match(/^pnpm@\d+/)[0];
  const filters = folders.flatMap((folder) => ['--filter', `./${folder}`]);
  run('npx', ['--yes', pnpm, ...filters, 'pack', '--recursive', '--pack-destination', join(temp, 'packed')]);
  return readdirSync(join(temp, 'packed')).map((name) => join(temp, 'packed', name));
}

/** The manifest of a tarball, once nothing is in it that runs at install or is not meant for users. @param {string} tarball @param {string} version */
function inspect(tarball, version) {
  const manifest = JSON.parse(run('tar', ['-xOzf', tarball, 'package/package.json']));
  const files = run('tar', ['-tzf', tarball])
    .trim()
    .split('\n')
    .map((path) => path.replace(/^package\//, ''));
  const refuse = (/** @type {string} */ what) => stop(`${manifest.name}: ${what}`);

  for (const script of ['preinstall', 'install', 'postinstall', 'prepare'])
    if (manifest.scripts?.[script]) refuse(`has the script ${script}, and package managers refuse or skip those`);
  if (files.includes('binding.gyp')) refuse('has a binding.gyp, which makes npm compile');
  for (const file of ['LICENSE', 'README.md']) if (!files.includes(file)) refuse(`has no ${file}`);
  if (manifest.license !== 'Apache-2.0') refuse(`has the licence ${manifest.license}, expected Apache-2.0`);
  if (manifest.version !== version) refuse(`has version ${manifest.version}, the others have ${version}`);
  for (const [name, range] of Object.entries(manifest.dependencies ?? {}))
    if (/gemmatune/.test(name) ? range !== version : /[:/]/.test(range)) refuse(`depends on ${name} as ${range}`);
  const stray = files.find((path) => /\.(test|case)\.|\.tsbuildinfo$/.test(path));
  if (stray) refuse(`has ${stray}, which is of no use to users`);
  const named = [manifest.main, manifest.types, ...Object.values(manifest.bin ?? {})];
  for (const { types, default: code } of Object.values(manifest.exports ?? {})) named.push(types, code);
  for (const path of named.filter(Boolean).map((path) => path.replace(/^\.\//, '')))
    if (!files.includes(path)) refuse(`names ${path}, which is not in the tarball`);
  if (manifest.name === 'gemmatune-native' && !files.some((path) => /^prebuilds\/.*\.node$/.test(path)))
    refuse('has no prebuilt binary');
  return manifest;
}

/** What a machine without a toolchain has. Only Node, npm and a shell, a new HOME and cache; the way to the registry stays. */
function bareEnvironment() {
  const bin = join(temp, 'bin');
  mkdirSync(bin);
  for (const name of ['node', 'npm', 'npx', 'sh', 'env'])
    symlinkSync(run('sh', ['-c', `command -v ${name}`]).trim(), join(bin, name));
  const home = join(temp, 'home');
  mkdirSync(home);
  const kept = /^(NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR)|(https?|no|all)_proxy|npm_config_(registry|userconfig))$/i;
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => kept.test(name)));
  const npmrc = join(homedir(), '.npmrc');
  if (existsSync(npmrc)) env.npm_config_userconfig ??= npmrc;
  return { ...env, PATH: bin, HOME: home, npm_config_cache: join(home, 'npm'), npm_config_update_notifier: 'false' };
}

const SMOKE = `
async function smoke({ Model, parseModelConfig }) {
  const config = parseModelConfig(
    { model_type: 'gemma3_text', vocab_size: 64, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2,
      num_key_value_heads: 1, head_dim: 16, intermediate_size: 48, sliding_window: 8, eos_token_id: 1 },
    'smoke test',
  );
  const model = await Model.create(config, { dtype: 'float32', trainable: true, seed: 1 });
  const tokens = Int32Array.of(2, 5, 6, 7, 8);
  const batch = { tokens, targets: Int32Array.of(5, 6, 7, 8, -100), starts: Int32Array.of(0, 5) };
  const step = { learningRate: 0.01, divisor: 4, maxGradNorm: 1, weightDecay: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
  const before = (await model.score(batch)).lossSum;
  for (let i = 1; i <= 5; i++) {
    await model.accumulate(batch);
    await model.update({ ...step, step: i });
  }
  const after = (await model.score(batch)).lossSum;
  const [ids] = await model.generate([tokens], { maxNewTokens: 4 });
  await model.dispose();
  if (!(after < before && ids.length > 0)) throw new Error(\`loss \${before} -> \${after}, ids \${ids}\`);
}
`;

const PROGRAMS = {
  'smoke.mjs': `import * as gemmatune from 'gemmatune';\n${SMOKE}\nawait smoke(gemmatune);\n`,
  'smoke-require.cjs': `const gemmatune = require('gemmatune');\n${SMOKE}\nsmoke(gemmatune);\n`,
  'smoke-import.cjs': `${SMOKE}\nimport('gemmatune').then(smoke);\n`,
};

const CONSUMER = `import { Model, type ModelOptions } from 'gemmatune';
const options: ModelOptions = { dtype: 'float32' };
const model: Model = await Model.load('folder', options);
const ids: Int32Array[] = await model.generate([Int32Array.of(2)], { maxNewTokens: 1 });
// @ts-expect-error: the types are there, and not any
const wrong: string = ids;
export { wrong };
`;

const tarballs = pack();
const { version } = readJson(join(root, 'packages/cli/package.json'));
/** @type {Record<string, string>} */
const dependencies = {};
for (const tarball of tarballs) dependencies[inspect(tarball, version).name] = `file:${tarball}`;
console.log(`packed ${Object.keys(dependencies).length} packages`);

const app = join(temp, 'app');
mkdirSync(app);
writeFileSync(join(app, 'package.json'), JSON.stringify({ name: 'app', private: true, dependencies }));
const env = bareEnvironment();
if (spawnSync('c++', ['--version'], { env }).status === 0) stop('there is a compiler on the bare PATH');
run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts=false'], { cwd: app, env });
const linked = readJson(join(app, 'node_modules/.package-lock.json')).packages;
for (const [path, { hasInstallScript }] of Object.entries(linked))
  if (hasInstallScript) stop(`${path} runs a script at install`);
console.log(`installed ${Object.keys(linked).length} packages with npm, without a compiler`);

const [major, minor] = process.versions.node.split('.').map(Number);
const requiresEsm = major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19);
for (const [name, program] of Object.entries(PROGRAMS)) {
  if (name === 'smoke-require.cjs' && !requiresEsm) continue;
  writeFileSync(join(app, name), program);
  run('node', [name], { cwd: app, env });
  console.log(`${name}: ok`);
}

const types = { module: 'NodeNext', target: 'ES2023', strict: true, noEmit: true, types: ['node'] };
const typeRoots = [join(root, 'node_modules/@types')];
writeFileSync(join(app, 'consumer.mts'), CONSUMER);
writeFileSync(
  join(app, 'tsconfig.json'),
  JSON.stringify({ compilerOptions: { ...types, typeRoots }, files: ['consumer.mts'] }),
);
run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', app], { cwd: app });
console.log('types: ok');

// Few steps: that they teach the model something is another test's to show.
run('npx', ['--no-install', 'gemmatune', 'quickstart', '--max-steps', '4', '--n', '4'], { cwd: app, env });
console.log('gemmatune quickstart: ok');
