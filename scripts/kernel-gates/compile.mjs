// Compiles .cu files for each architecture and measures their kernels. What was measured is kept by the hash of all that went in.
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { readCubin } from './cubin.mjs';

const run = promisify(execFile);

export const ARCHITECTURES = [75, 80, 86, 89, 90];
const FLAGS = ['-std=c++17', '-O3', '--expt-relaxed-constexpr', '-I.'];
/** Spilled registers and local memory are errors. */
const PTXAS = '-Xptxas=-v,-warn-spills,-warn-lmem-usage,-Werror';
/** A kernel whose code path needs a newer architecture is a return and padding on this one. */
const isEmpty = ({ instructions, stg }) => instructions <= 16 && Object.keys(stg).length === 0;

/** "13.0.88", or null where there is no nvcc. */
export function nvccVersion() {
  const { status, stdout } = spawnSync('nvcc', ['--version'], { encoding: 'utf8' });
  return status === 0 ? (stdout.match(/\bV(\d+\.\d+\.\d+)/)?.[1] ?? 'unknown') : null;
}

/** All .cu files below `folder` but those of tests and benchmarks, relative to it. */
export function cudaFiles(folder, below = '') {
  return readdirSync(join(folder, below), { withFileTypes: true })
    .filter(({ name }) => !['build', 'node_modules', 'bench'].includes(name) && !name.startsWith('test'))
    .flatMap((entry) => {
      const path = join(below, entry.name);
      return entry.isDirectory() ? cudaFiles(folder, path) : path.endsWith('.cu') ? [path] : [];
    })
    .sort();
}

/** `file` and what it includes with quotes, and so on. */
function sources(folder, file, seen = new Set()) {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const [, name] of readFileSync(join(folder, file), 'utf8').matchAll(/^\s*#\s*include "([^"]+)"/gm)) {
    const found = [join(dirname(file), name), name].find((path) => existsSync(join(folder, path)));
    if (found) sources(folder, relative(folder, join(folder, found)), seen);
  }
  return seen;
}

function hash(folder, file, ...rest) {
  const h = createHash('sha256').update(JSON.stringify(rest));
  for (const path of [...sources(folder, file)].sort())
    h.update(`\n${path}\n`).update(readFileSync(join(folder, path)));
  return h.digest('hex').slice(0, 32);
}

/** Registers and bytes of static shared memory, from ptxas -v, by mangled name. */
function readPtxas(log) {
  const found = {};
  let kernel = null;
  for (const line of log.split('\n')) {
    kernel = line.match(/Compiling entry function '([^']+)'/)?.[1] ?? kernel;
    const registers = line.match(/Used (\d+) registers/);
    if (registers) found[kernel] = { registers: +registers[1], shared: +(line.match(/(\d+) bytes smem/)?.[1] ?? 0) };
  }
  return found;
}

/** A text with the names in it demangled, where there is a c++filt (it comes with the linker). */
function demangleAll(text) {
  const { status, stdout } = spawnSync('c++filt', { input: text, encoding: 'utf8', maxBuffer: 1e9 });
  return status === 0 ? stdout : text;
}

/**
 * Readable, and the same in every build: no return type, parameters, anonymous namespace (its name holds a hash) or gt's own.
 * @param {string[]} mangled
 */
export function demangle(mangled) {
  return mangled.map(demangleAll).map((line) => {
    const name = line
      .replace(/^void /, '')
      .replace(/(\(anonymous namespace\)|_GLOBAL__N_\w+)::/g, '')
      .replace(/\bgt::(cuda::)?/g, '')
      .replace(/\(gpu::Level\)(750|800)/g, (_, level) => `sm${level / 10}`);
    let depth = 0;
    for (let i = 0; i < name.length; i++) {
      if (name[i] === '<') depth++;
      else if (name[i] === '>') depth--;
      else if (name[i] === '(' && depth === 0) return name.slice(0, i);
    }
    return name;
  });
}

async function compile(folder, file, target) {
  const temp = mkdtempSync(join(tmpdir(), 'gemmatune-kernels-'));
  try {
    const out = join(temp, 'out');
    const form =
      target === 'ptx' ? ['-ptx', `-arch=compute_${ARCHITECTURES.at(-1)}`] : ['-cubin', `-arch=sm_${target}`];
    const { stdout, stderr } = await run('nvcc', [...FLAGS, PTXAS, ...form, '-o', out, file], {
      cwd: folder,
      maxBuffer: 1e9,
    });
    if (target === 'ptx') return {};
    const code = readCubin(readFileSync(out));
    const resources = readPtxas(stdout + stderr);
    const mangled = Object.keys(code).filter((name) => !isEmpty(code[name]));
    const names = demangle(mangled);
    return Object.fromEntries(mangled.map((name, i) => [names[i], { ...resources[name], ...code[name] }]));
  } catch (error) {
    const { stdout, stderr, message } = /** @type {import('node:child_process').ExecFileException} */ (error);
    const why = `${stdout ?? ''}${stderr ?? ''}` || message;
    const lines = why.split('\n').filter((line) => line.trim() && !/^ptxas info|bytes stack frame/.test(line));
    throw new Error(`${file} for ${target === 'ptx' ? 'PTX' : `sm_${target}`}:\n${demangleAll(lines.join('\n'))}`);
  } finally {
    rmSync(temp, { recursive: true });
  }
}

/**
 * Kernels of all files: { "rmsnorm/forward_kernel<true>": { 75: { registers, shared, threads, hmma, ... }, 80: ... } }, and what did
 * not compile, as sentences.
 */
export async function measureKernels(folder, cache, nvcc) {
  mkdirSync(cache, { recursive: true });
  const jobs = cudaFiles(folder).flatMap((file) => [...ARCHITECTURES, 'ptx'].map((target) => ({ file, target })));
  const results = [];
  const failures = [];
  const queue = jobs.map((job, i) => async () => {
    const kept = join(cache, `${hash(folder, job.file, nvcc, FLAGS, PTXAS, job.target)}.json`);
    try {
      if (!existsSync(kept)) writeFileSync(kept, JSON.stringify(await compile(folder, job.file, job.target)));
      results[i] = JSON.parse(readFileSync(kept, 'utf8'));
    } catch (error) {
      failures.push(/** @type {Error} */ (error).message);
    }
  });
  const worker = async () => {
    for (let job = queue.shift(); job; job = queue.shift()) await job();
  };
  await Promise.all([worker(), worker()]);

  const kernels = {};
  jobs.forEach(({ file, target }, i) => {
    for (const [name, measured] of Object.entries(results[i] ?? {})) {
      const key = `${dirname(file).split('/').at(-1)}/${name}`;
      kernels[key] ??= {};
      kernels[key][target] = measured;
    }
  });
  return { kernels, failures };
}
