// What a build folder of native/ was configured with, what it is to be configured with now, and what follows from the two. What nobody says is left
// as it is: a build with CUDA, or by another compiler, stays one until GEMMATUNE_CUDA or CXX says otherwise.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

/** Beside CMakeCache.txt: what `wantedFor` said when CMake had configured; without options where it has not come to its end since. */
export const RECORD = 'configured-with.json';

/**
 * What a folder was configured with; `found` are files that are looked for again once they are gone, or were not there.
 * @typedef {object} Configuration
 * @property {string | undefined} source
 * @property {string} generator
 * @property {string | undefined} compiler
 * @property {string | undefined} make
 * @property {string | undefined} cuda
 * @property {string | undefined} nvcc
 * @property {string[]} found
 * @property {(Omit<Wanted, 'options'> & { options: Wanted['options'] | null }) | null} record
 *
 * @typedef {object} Wanted what a folder is to be configured with, in words that can be compared
 * @property {string} source
 * @property {Record<string, string>} options
 * @property {string[]} packages
 * @property {string | null} cxx
 * @property {string | null} compiler
 * @property {string | null} nvcc
 *
 * @typedef {object} Request
 * @property {string} source the folder of CMakeLists.txt
 * @property {Record<string, string>} options for -D
 * @property {string[]} [packages] folders whose place CMake remembers
 */

/** @param {string} folder @returns {Configuration | null} null where it was not configured */
export function readConfiguration(folder) {
  const path = join(folder, 'CMakeCache.txt');
  if (!existsSync(path)) return null;
  const cache = readFileSync(path, 'utf8');
  const value = (/** @type {string} */ name) => cache.match(new RegExp(`^${name}:\\w+=(.*)$`, 'm'))?.[1];
  const record = join(folder, RECORD);
  return {
    source: value('CMAKE_HOME_DIRECTORY'),
    generator: value('CMAKE_GENERATOR') ?? '',
    compiler: value('CMAKE_CXX_COMPILER'),
    make: value('CMAKE_MAKE_PROGRAM'),
    cuda: value('GEMMATUNE_CUDA'),
    nvcc: value('CMAKE_CUDA_COMPILER'),
    found: [`${value('GEMMATUNE_GLOO_INCLUDE')}/gloo/allreduce.h`, `${value('GEMMATUNE_GLOO_LIBRARY')}`],
    record: existsSync(record) ? JSON.parse(readFileSync(record, 'utf8')) : null,
  };
}

/**
 * The option GEMMATUNE_CUDA. The CUDA backend takes nvcc minutes: by default it is built where there is an NVIDIA driver and nvcc, or where it was
 * built before. GEMMATUNE_CUDA=AUTO builds it wherever there is nvcc, ON insists, OFF leaves it out.
 * @param {string | undefined} said
 * @param {string | undefined} before
 * @param {boolean} hasDriver
 */
export function cudaOption(said, before, hasDriver) {
  if (said && !['AUTO', 'ON', 'OFF'].includes(said))
    throw new Error(`GEMMATUNE_CUDA is ${said}, expected AUTO, ON or OFF in the environment`);
  if (said) return said;
  if (before === 'ON') return before;
  const built = before !== undefined && !/^(OFF|NO|FALSE|N|0|)$|NOTFOUND$/i.test(before);
  return built || hasDriver ? 'AUTO' : 'OFF';
}

/** The first line in which a program tells its version, null where there is no such program. @param {string} program */
function versionOf(program) {
  const [command, ...flags] = program.split(' ');
  const { status, stdout } = spawnSync(command, [...flags, '--version'], { encoding: 'utf8' });
  return (status === 0 && stdout.split('\n').find((line) => /\d+\.\d+/.test(line))) || null;
}

/** The nvcc that is asked for, or was found before and is still there; null: whichever PATH leads to. @param {Configuration | null} before */
export const nvccFor = (before, env = process.env) =>
  env.CUDACXX || (before?.nvcc && existsSync(before.nvcc) ? before.nvcc : null);

/** @param {Configuration | null} before @param {Request} request @returns {Wanted} */
export function wantedFor(before, { source, options, packages = [] }, env = process.env) {
  return {
    source: realpathSync(source),
    options,
    packages: packages.map((path) => realpathSync(path)),
    cxx: env.CXX || before?.record?.cxx || null,
    compiler: before?.compiler ? versionOf(before.compiler) : null,
    nvcc: options.GEMMATUNE_CUDA === 'OFF' ? null : versionOf(nvccFor(before, env) ?? 'nvcc'),
  };
}

/**
 * What a build has to do first: keep (nothing), configure, or start over (nothing of the folder is of use). `forgetCuda`: what CMake remembers of nvcc is
 * not true any more.
 * @param {Configuration | null} before
 * @param {Wanted} wanted
 * @param {(path: string) => boolean} exists
 * @returns {{ step: 'keep' | 'configure' | 'start over', why: string | null, forgetCuda: boolean }}
 */
export function decide(before, wanted, exists = existsSync) {
  /** @param {string | null} why @returns {ReturnType<typeof decide>} */
  const startOver = (why) => ({ step: 'start over', why, forgetCuda: false });
  if (before === null) return startOver(null);
  const { record } = before;
  const isThere = (/** @type {string | undefined} */ path) => path !== undefined && exists(path);
  const gone = [before.compiler, before.make].find((path) => !isThere(path));
  if (before.source !== wanted.source) return startOver(`it was configured for ${before.source}`);
  if (gone) return startOver(`${gone} is gone`);
  if (record && wanted.cxx !== record.cxx) return startOver(`CXX is ${wanted.cxx}, it was ${record.cxx ?? 'not set'}`);
  if (record && wanted.compiler !== record.compiler)
    return startOver(`the compiler is ${wanted.compiler}, it was ${record.compiler}`);
  const moved = wanted.nvcc !== null && !isThere(before.nvcc);
  const forgetCuda = before.nvcc !== undefined && (moved || wanted.nvcc !== (record?.nvcc ?? null));
  const keep = !forgetCuda && isDeepStrictEqual(record, wanted) && before.found.every((path) => exists(path));
  return { step: keep ? 'keep' : 'configure', why: null, forgetCuda };
}
