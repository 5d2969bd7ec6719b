// Brings a build folder of native/ up to date: configures it where that is needed, and builds it. Quiet, unless there is a warning or an error to see;
// all of it ends this process where something fails.
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { decide, nvccFor, RECORD, readConfiguration, wantedFor } from './configuration.mjs';

export function stop(sentence, output = '') {
  if (output.trim()) console.error(output.trimEnd());
  console.error(`build: ${sentence}`);
  process.exit(1);
}
const failed = (what, error) => `${what} failed${error ? `: ${error.message}` : ''}`;

/** Runs a command to its end; what it says is shown where it fails or warns. */
export function run(what, [command, ...args], options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1e9, ...options });
  const output = `${stdout ?? ''}${stderr ?? ''}`;
  if (status !== 0) stop(failed(what, error), output);
  if (/warning:/i.test(output)) console.error(output.trimEnd());
}

function configure(what, folder, request) {
  const before = readConfiguration(folder);
  const { step, why, forgetCuda } = decide(before, wantedFor(before, request));
  if (step === 'keep') return;
  if (why) console.log(`${what} is built from its beginning: ${why}`);
  if (step === 'start over')
    for (const name of ['CMakeCache.txt', 'CMakeFiles', RECORD])
      rmSync(join(folder, name), { recursive: true, force: true });
  else if (before.record) writeRecord(folder, { ...before.record, options: null });
  if (forgetCuda)
    for (const path of readdirSync(join(folder, 'CMakeFiles'), { recursive: true }))
      if (path.endsWith('CMakeCUDACompiler.cmake')) rmSync(join(folder, 'CMakeFiles', path));

  const generator = step === 'start over' ? [] : ['-G', before.generator];
  const forget = forgetCuda ? ['-UCMAKE_CUDA*', '-UCUDA*'] : [];
  const options = (prefix) => Object.entries(request.options).map(([name, value]) => `${prefix}${name}=${value}`);
  const cmake = ['cmake', '-S', request.source, '-B', folder, ...generator, ...options('-D'), ...forget];
  const cmakeJs = [
    ...[process.execPath, request.cmakeJs, 'configure', '--directory', request.source, '--out', folder],
    ...['--log-level', 'error', ...generator, ...options('--CD'), '--', ...forget],
  ];
  const env = { ...process.env, CUDACXX: nvccFor(before) ?? '' };
  run(`the configuration of ${what}`, request.cmakeJs ? cmakeJs : cmake, { env });
  writeRecord(folder, wantedFor(readConfiguration(folder), request));
}
const writeRecord = (folder, record) => writeFileSync(join(folder, RECORD), `${JSON.stringify(record, null, 2)}\n`);

/**
 * @param what for people
 * @param folder of the build
 * @param request what wantedFor takes; `cmakeJs`: the program that configures where it is not cmake itself
 * @param targets all by default
 */
export function buildNative(what, folder, request, targets = []) {
  configure(what, folder, request);
  const jobs = String(availableParallelism());
  run(what, ['cmake', '--build', folder, '--parallel', jobs, ...targets.flatMap((target) => ['--target', target])]);
}
