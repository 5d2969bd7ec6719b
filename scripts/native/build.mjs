// Brings a build folder of native/ up to date: configures it where that is needed, builds it, and shows how far it is. Quiet where there is nothing
// to do; warnings and errors come in full at the end. All of it ends this process where something fails.
/** @import { Request } from './configuration.mjs' */
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { decide, nvccFor, RECORD, readConfiguration, wantedFor } from './configuration.mjs';
import { isProgress, Progress, stepOf, stepsLeft } from './progress.mjs';

const SECONDS_BETWEEN_LINES = 15; // where the last line cannot be written over
const now = () => performance.now() / 1000;

/** @param {string} sentence @returns {never} */
export function stop(sentence, output = '') {
  if (output.trim()) console.error(output.trimEnd());
  console.error(`build: ${sentence}`);
  process.exit(1);
}

/**
 * Shows what a command that has ended has said, where it failed or warned.
 * @param {string} what
 * @param {{ status?: number | null, error?: Error }} ended
 * @param {string} output
 */
function judge(what, { status, error }, output) {
  if (status !== 0) stop(`${what} failed${error ? `: ${error.message}` : ''}`, output);
  if (/warning:/i.test(output)) console.error(output.trimEnd());
}

/**
 * Runs a command to its end.
 * @param {string} what
 * @param {string[]} words
 * @param {import('node:child_process').SpawnSyncOptions} options
 */
export function run(what, words, options = {}) {
  const [command, ...args] = words;
  const result = spawnSync(command, args, { maxBuffer: 1e9, ...options, encoding: 'utf8' });
  judge(what, result, `${result.stdout ?? ''}${result.stderr ?? ''}`);
}

/** @param {string} what @param {string} folder @param {Request & { cmakeJs?: string }} request */
function configure(what, folder, request) {
  const before = readConfiguration(folder);
  const { step, why, forgetCuda } = decide(before, wantedFor(before, request));
  if (step === 'keep') return;
  if (why) console.log(`${what} is built from its beginning: ${why}`);
  if (step === 'start over')
    for (const name of ['CMakeCache.txt', 'CMakeFiles', RECORD])
      rmSync(join(folder, name), { recursive: true, force: true });
  else if (before?.record) writeRecord(folder, { ...before.record, options: null });
  if (forgetCuda)
    for (const path of readdirSync(join(folder, 'CMakeFiles'), { encoding: 'utf8', recursive: true }))
      if (path.endsWith('CMakeCUDACompiler.cmake')) rmSync(join(folder, 'CMakeFiles', path));

  const generator = step === 'configure' && before ? ['-G', before.generator] : [];
  const forget = forgetCuda ? ['-UCMAKE_CUDA*', '-UCUDA*'] : [];
  const options = (/** @type {string} */ prefix) =>
    Object.entries(request.options).map(([name, value]) => `${prefix}${name}=${value}`);
  const { source, cmakeJs } = request;
  const words =
    cmakeJs === undefined
      ? ['cmake', '-S', source, '-B', folder, ...generator, ...options('-D'), ...forget]
      : [
          ...[process.execPath, cmakeJs, 'configure', '--directory', source, '--out', folder],
          ...['--log-level', 'error', ...generator, ...options('--CD'), '--', ...forget],
        ];
  const env = { ...process.env, CUDACXX: nvccFor(before) ?? '' };
  run(`the configuration of ${what}`, words, { env });
  writeRecord(folder, wantedFor(readConfiguration(folder), request));
}
/** @param {string} folder @param {object} record */
const writeRecord = (folder, record) => writeFileSync(join(folder, RECORD), `${JSON.stringify(record, null, 2)}\n`);

/**
 * Shows how far it is while `work` goes on: in one line of a terminal, else in a line now and then.
 * @template Result
 * @param {Progress} progress
 * @param {Promise<Result>} work
 */
async function showing(progress, work) {
  const terminal = process.stdout.isTTY;
  const [before, after] = terminal ? ['\r\x1b[K', ''] : ['', '\n'];
  const show = () => process.stdout.write(before + progress.text(now()) + after);
  const timer = setInterval(show, 1000 * (terminal ? 1 : SECONDS_BETWEEN_LINES));
  const result = await work;
  clearInterval(timer);
  process.stdout.write(before);
  return result;
}

/** @param {string} what @param {string} folder @param {string[]} targets */
async function compile(what, folder, targets) {
  const jobs = availableParallelism();
  const words = ['--build', folder, '--parallel', `${jobs}`, ...targets.flatMap((target) => ['--target', target])];
  const env = { ...process.env, NINJA_STATUS: '[%f/%t] ' };
  /** @param {string[]} dry @param {Record<string, string>} more */
  const dryRun = (dry, more) =>
    spawnSync('cmake', dry, { encoding: 'utf8', maxBuffer: 1e9, env: { ...env, ...more } }).stdout ?? '';
  const generator = readConfiguration(folder)?.generator;
  const planned = stepsLeft(folder, generator, words, dryRun);
  if (planned.length > 0) console.log(`building ${what}: ${planned.length} steps`);
  const progress = new Progress(planned, now(), generator === 'Ninja' ? 0 : jobs);

  const child = spawn('cmake', words, { stdio: ['ignore', 'pipe', 'pipe'], env });
  /** @type {string[]} */
  const said = [];
  for (const stream of [child.stdout, child.stderr])
    createInterface(stream).on('line', (line) => {
      const step = stepOf(line);
      if (step !== null) progress.add(step, now());
      if (!isProgress(line)) said.push(line);
    });
  /** @type {Promise<{ status?: number | null, error?: Error }>} */
  const ended = new Promise((done) => {
    child.on('close', (status) => done({ status })).on('error', (error) => done({ error }));
  });
  judge(what, await (planned.length > 0 ? showing(progress, ended) : ended), said.join('\n'));
}

/**
 * @param {string} what for people
 * @param {string} folder of the build
 * @param {Request & { cmakeJs?: string }} request `cmakeJs`: the program that configures where it is not cmake itself
 * @param {string[]} targets all by default
 */
export async function buildNative(what, folder, request, targets = []) {
  configure(what, folder, request);
  await compile(what, folder, targets);
}
