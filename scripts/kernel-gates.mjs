// Gates on compiled GPU kernels, for machines with nvcc and no GPU: every .cu file compiles for sm_75 to sm_90 and to PTX without a
// spilled register or local memory, and no kernel and no op gets worse than its budget in native/gpu/budgets.json: registers, shared
// memory, blocks per multiprocessor, tensor-core and wide-access instructions; launches, bytes, flops and floor time at the 270M shapes.
// The sizes that the backend cuts work by are those that are written there, for bench/roofline to read.
// The calls of a training step in native/bench must add up to the launches of the model's own step.
//
//   node scripts/kernel-gates.mjs [--write] [--table] [--require-nvcc] [--build <folder>]
//
// --write makes the budgets anew, --table prints all figures. Without nvcc nothing is checked, which --require-nvcc makes an error.
// What is launched comes from a build with CUDA: the addon's (native/build, brought up to date), or the one that --build names.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ARCHITECTURES, measureKernels, nvccVersion } from './kernel-gates/compile.mjs';
import { occupancy } from './kernel-gates/occupancy.mjs';
import { CARDS, readPlans, run } from './kernel-gates/plan.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const native = join(root, 'native');
const budgetsPath = join(native, 'gpu/budgets.json');

const { values: options } = parseArgs({
  options: {
    write: { type: 'boolean', default: false },
    table: { type: 'boolean', default: false },
    'require-nvcc': { type: 'boolean', default: false },
    build: { type: 'string' },
  },
});

/** @typedef {Record<string, (a: number, b: number) => boolean>} Rules whether a is worse than b, by figure */

/** @type {Rules[string]} */
const more = (a, b) => a > b;
/** @type {Rules[string]} */
const fewer = (a, b) => a < b;
/** @type {Rules} */
const KERNEL_FIGURES = {
  registers: more,
  shared: more, // bytes of a block, static and dynamic
  threads: () => false,
  blocks: fewer, // per multiprocessor
  hmma: fewer,
  ldsm: fewer,
  ldgsts: fewer,
  load128: fewer,
  store128: fewer,
  loadNarrow: more, // below 128 bits
  storeNarrow: more,
  f2f: more,
};
const OP_FIGURES = { bytes: more, flops: more, floorT4: more, floorH200: more, launchesT4: more, launchesH200: more };

const sum = (/** @type {number[]} */ numbers) => numbers.reduce((a, b) => a + b, 0);
/** How many move less than 128 bits at once. @param {Record<string, number>} byBits */
const narrow = (byBits) => sum(Object.entries(byBits).map(([bits, n]) => (Number(bits) < 128 ? n : 0)));

/** The launches of each kernel on each architecture, largest block and shared memory: { "rmsnorm/forward_kernel": { 75: ... } }. */
function launchesByKernel(plans, kernels) {
  const found = {};
  const unknown = new Set();
  for (const [card, calls] of Object.entries(plans)) {
    for (const { folder, launches } of calls) {
      for (const { kernel, threads, shared } of launches) {
        const own = `${folder}/${kernel}`;
        const others = Object.keys(kernels).filter((key) => key.endsWith(`/${kernel}`));
        const key = kernels[own] ? own : others.length === 1 ? others[0] : null;
        if (!key) {
          if (folder !== 'step') unknown.add(`${own} is launched, and ${others.length} kernels have that name`);
          continue;
        }
        found[key] ??= {};
        const { arch } = CARDS[card];
        const l = found[key][arch] ?? { threads: 0, shared: 0 };
        found[key][arch] = { threads: Math.max(l.threads, threads), shared: Math.max(l.shared, shared) };
      }
    }
  }
  return { found, unknown };
}

/** Sentences on kernels that a training step launches more or less often than the ops' calls in a step add up to. */
function stepProblems(plans) {
  const problems = [];
  for (const card of ['T4', 'H200']) {
    for (const loss of ['completion', 'full']) {
      const counts = new Map();
      const add = (launches, times) => {
        for (const { kernel } of launches) counts.set(kernel, (counts.get(kernel) ?? 0) + times);
      };
      for (const call of plans[card]) {
        if (call.folder !== 'step') add(call.launches, call[loss]);
        else if (call.shape.startsWith(loss)) add(call.launches, -1);
      }
      for (const [kernel, n] of counts)
        if (n)
          problems.push(
            `${card}: a training step (loss ${loss}) launches ${kernel} ${Math.abs(n)} times ${n > 0 ? 'less' : 'more'} often than the calls in native/bench say`,
          );
    }
  }
  return problems;
}

/** A kernel has a budget where gpu_plan launches it; where it launches it nowhere, without an occupancy on all. */
function kernelFigures(kernels, launched) {
  const figures = {};
  for (const [key, byArch] of Object.entries(kernels)) {
    for (const arch of ARCHITECTURES) {
      const k = byArch[arch];
      const launch = launched[key]?.[arch];
      if (!k || (launched[key] && !launch)) continue;
      const threads = launch?.threads ?? k.threads;
      const shared = k.shared + (launch?.shared ?? 0);
      figures[key] ??= {};
      figures[key][`sm_${arch}`] = {
        registers: k.registers,
        shared,
        threads,
        blocks: launch ? occupancy(arch, { registers: k.registers, threads, shared }).blocks : null,
        hmma: k.hmma,
        ldsm: k.ldsm,
        ldgsts: k.ldgsts,
        load128: k.ldg[128] ?? 0,
        loadNarrow: narrow(k.ldg),
        store128: k.stg[128] ?? 0,
        storeNarrow: narrow(k.stg),
        f2f: k.f2f,
      };
    }
  }
  return figures;
}

/** Milliseconds that a card needs at least. */
const floor = (card, bytes, flops) =>
  Number((Math.max(bytes / CARDS[card].bytesPerSecond, flops / CARDS[card].flopsPerSecond) * 1e3).toPrecision(4));

function opFigures(plans) {
  const figures = {};
  plans.T4.forEach(({ folder, op, shape, bytes, flops, completion, full, launches }, i) => {
    const own = { launchesT4: launches.length, launchesH200: plans.H200[i].launches.length };
    if (folder !== 'step') {
      const floors = { floorT4: floor('T4', bytes, flops), floorH200: floor('H200', bytes, flops) };
      figures[`${op} ${shape}`] = { bytes, flops, completion, full, ...floors, ...own };
      return;
    }
    // The whole step, which comes last, needs what its calls need together.
    const loss = shape.split(' ')[0];
    const total = (name) => Number(sum(Object.values(figures).map((f) => (f[loss] ?? 0) * f[name])).toPrecision(4));
    const names = ['bytes', 'flops', 'floorT4', 'floorH200'];
    figures[`${op} ${shape}`] = { ...Object.fromEntries(names.map((name) => [name, total(name)])), ...own };
  });
  return figures;
}

/** Sentences on what is worse than its budget, and how many figures are better. */
function compare(kind, rules, figures, budgets) {
  const worse = [];
  let better = 0;
  for (const [key, own] of Object.entries(figures)) {
    const budget = budgets[key];
    if (!budget) {
      worse.push(`${key}: has no budget`);
      continue;
    }
    for (const [name, isWorse] of Object.entries(rules)) {
      const [a, b] = [own[name], budget[name]];
      if (a === b) continue;
      if (a === null || b === null) worse.push(`${key}: ${name} is ${a ?? 'unknown'}, in the budget ${b ?? 'unknown'}`);
      else if (isWorse(a, b)) worse.push(`${key}: ${name} is ${a}, the budget is ${b}`);
      else better++;
    }
  }
  for (const key of Object.keys(budgets))
    if (!figures[key]) worse.push(`${key}: has a budget, and is no ${kind} any more`);
  return { worse, better };
}

/** { "a": { "sm_75": {...} } } as { "a sm_75": {...} } */
const flat = (byArch) =>
  Object.fromEntries(
    Object.entries(byArch).flatMap(([key, archs]) => Object.entries(archs).map(([arch, f]) => [`${key} ${arch}`, f])),
  );

/** JSON with a line for each record of figures. */
function text({ nvcc, sizes, ops, kernels }) {
  const lines = (entries) => entries.map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`);
  const byKernel = Object.entries(kernels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, archs]) => `${JSON.stringify(key)}: {\n      ${lines(Object.entries(archs)).join(',\n      ')}\n    }`);
  return `{
  "nvcc": ${JSON.stringify(nvcc)},
  "sizes": ${JSON.stringify(sizes)},
  "ops": {
    ${lines(Object.entries(ops)).join(',\n    ')}
  },
  "kernels": {
    ${byKernel.join(',\n    ')}
  }
}
`;
}

function table(title, rows) {
  const columns = Object.keys(rows[0] ?? {});
  const cells = [columns, ...rows.map((row) => columns.map((c) => String(row[c] ?? '')))];
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => row[i].length)));
  console.log(`\n${title}`);
  for (const row of cells)
    console.log(row.map((cell, i) => (i ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join('  '));
}

function printTables({ ops, kernels }) {
  table(
    'kernels',
    Object.entries(flat(kernels)).map(([kernel, f]) => ({ kernel, ...f })),
  );
  table(
    'ops at the 270M shapes; floor times in ms, from peak rates: no kernel can be faster',
    Object.entries(ops).map(([op, f]) => ({
      op,
      MB: (f.bytes / 1e6).toFixed(1),
      GFLOP: (f.flops / 1e9).toFixed(1),
      'floor T4': f.floorT4,
      'floor H200': f.floorH200,
      'launches T4': f.launchesT4,
      'launches H200': f.launchesH200,
    })),
  );
}

/** @param {string[]} lines @returns {never} */
function stop(lines) {
  console.error([...lines, 'kernel-gates: failed'].join('\n'));
  process.exit(1);
}

const nvcc = nvccVersion();
if (!nvcc) {
  console.log('kernel-gates: skipped, nvcc was not found');
  process.exit(options['require-nvcc'] ? 1 : 0);
}

const { kernels, failures } = await measureKernels(native, join(native, 'build/kernels'), nvcc);
if (failures.length) stop(failures);
let planned;
try {
  if (!options.build) run(process.execPath, [join(root, 'scripts/build.mjs'), 'native']);
  planned = readPlans(options.build ?? join(native, 'build'));
} catch (error) {
  stop([/** @type {Error} */ (error).message]);
}
const { sizes, plans } = planned;
const { found, unknown } = launchesByKernel(plans, kernels);
const figures = { nvcc, sizes, ops: opFigures(plans), kernels: kernelFigures(kernels, found) };
if (options.table) printTables(figures);

const refused = Object.entries(flat(figures.kernels)).filter(([, f]) => f.blocks === 0);
const miscounted = stepProblems(plans);
if (unknown.size || refused.length || miscounted.length)
  stop([...unknown, ...miscounted, ...refused.map(([key]) => `${key}: a multiprocessor cannot hold a block of it`)]);
const idle = Object.keys(figures.kernels).filter((key) => !found[key]);
if (idle.length && options.table)
  console.log(`\nlaunched by no case of native/bench, hence without an occupancy:\n  ${idle.join('\n  ')}`);

if (options.write) {
  writeFileSync(budgetsPath, text(figures));
  console.log(`kernel-gates: wrote the budgets of ${Object.keys(flat(figures.kernels)).length} compiled kernels`);
  process.exit(0);
}
if (!existsSync(budgetsPath)) stop(['native/gpu/budgets.json is not there: node scripts/kernel-gates.mjs --write']);
const budgets = JSON.parse(readFileSync(budgetsPath, 'utf8'));
const differ = Object.fromEntries(Object.keys(sizes).map((name) => [name, (a, b) => a !== b]));
const results = [
  compare('size', differ, { sizes }, { sizes: budgets.sizes }),
  compare('op', OP_FIGURES, figures.ops, budgets.ops),
];
if (budgets.nvcc === nvcc)
  results.push(compare('kernel', KERNEL_FIGURES, flat(figures.kernels), flat(budgets.kernels)));
else
  console.log(
    `the kernels' budgets are of nvcc ${budgets.nvcc}, this is ${nvcc}: only spills and the ops' figures were checked`,
  );
const worse = results.flatMap((r) => r.worse);
const better = sum(results.map((r) => r.better));
if (worse.length)
  stop([...worse, 'If that is meant, `node scripts/kernel-gates.mjs --write` takes these figures as the new budgets.']);
console.log(
  `kernel-gates: ${Object.keys(kernels).length} kernels for ${ARCHITECTURES.map((a) => `sm_${a}`).join(', ')} and PTX, none worse than its budget${
    better ? `; ${better} figures are better: \`node scripts/kernel-gates.mjs --write\` keeps them` : ''
  }`,
);
