// What each op launches at the 270M shapes on each card, from gpu_plan: the backend itself on a CUDA runtime that runs nothing.
import { spawnSync } from 'node:child_process';
import { demangle } from './compile.mjs';

/** Cards of the architectures that kernels are compiled for; rates are the vendor's peaks, in bytes/s and float16/bfloat16 flop/s. */
export const CARDS = {
  T4: { arch: 75, bytesPerSecond: 320e9, flopsPerSecond: 65e12 },
  A100: { arch: 80 },
  A10: { arch: 86 },
  L4: { arch: 89 },
  H200: { arch: 90, bytesPerSecond: 4.8e12, flopsPerSecond: 989e12 },
};

/** Stdout of a command that succeeds. */
export function run(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1e9 });
  if (status === 0) return stdout;
  const tail = `${stdout ?? ''}${stderr ?? ''}`.trim().split('\n').slice(-40).join('\n');
  throw new Error(`\`${command} ${args.join(' ')}\` failed${error ? `: ${error.message}` : ''}\n${tail}`);
}

/**
 * The sizes that the backend cuts work by; and by card, the calls in order: { folder, op, shape, bytes, flops, completion, full,
 * launches: [{ kernel, grid, threads, shared }] }.
 * @param {string} build a configured build folder of native/, with CUDA
 */
export function readPlans(build) {
  run('cmake', ['--build', build, '--target', 'gpu_plan', '-j', '2']);
  const names = new Map();
  const readable = (mangled) => {
    if (!names.has(mangled)) names.set(mangled, demangle([mangled])[0]);
    return names.get(mangled);
  };
  let sizes = {}; // the same for all cards
  const plans = Object.fromEntries(
    Object.keys(CARDS).map((card) => {
      const lines = run(`${build}/gpu_plan`, ['--as', card]).trim().split('\n');
      const [first, ...calls] = lines.map((line) => JSON.parse(line));
      sizes = first;
      for (const { launches } of calls) for (const l of launches) l.kernel = readable(l.kernel);
      return [card, calls];
    }),
  );
  return { sizes, plans };
}
