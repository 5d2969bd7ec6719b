// Modelled time of each phase of an optimizer step, with what was measured beside it.
/** @import { ResultFile } from '../measure/results.mjs' */
/** @import { Loss } from '../measure/workload.mjs' */
/** @import { Design } from '../roofline/costs.mjs' */
/** @import { Rates } from '../roofline/model.mjs' */
import { CONFIG_270M } from '../measure/model.mjs';
import { newest, readResults } from '../measure/read-results.mjs';
import { RESULTS } from '../measure/results.mjs';
import { LOSSES, workloadLengths } from '../measure/workload.mjs';
import { DESIGNS, NATIVE, stepOps } from '../roofline/costs.mjs';
import { cpuRates, GPUS, modelPhases, wholeStep } from '../roofline/model.mjs';
import { modelTwoGpus, TWO_GPU_DESIGNS } from '../roofline/two-gpus.mjs';

const TARGETS = ['cpu', 't4', 't4x2', 'h200'];
const SEQUENCES = 16;
/** Rows of a pass on a CPU, whose micro-batches are its passes; GPUs take the whole step at once. */
const CPU_ROWS = 2;
/** Bytes/s each way between two T4s. The first is what a bus through the host may well give; the slowest is 10 Gbit Ethernet. */
const LINKS = [5e9, 1.1e9, 3e9, 10e9];
const NOT_MEASURED = 'modelled: no such machine was measured';

const OPTIONS = {
  target: { default: 'all', help: `One of ${TARGETS.join(', ')}, or all.` },
  results: {
    default: RESULTS,
    help: 'Folder with the results of suites kernels and train to compare with.',
  },
};

/** @type {import('./index.mjs').Suite<typeof OPTIONS>} */
export const roofline = {
  summary: 'Modelled time of each phase of a training step, beside what was measured.',
  isKept: false,
  options: OPTIONS,
  short: {},
  async run({ target, results: folder }, { note, machine }) {
    if (target !== 'all' && !TARGETS.includes(target))
      throw new Error(`--target is ${target}, expected all or one of ${TARGETS.join(', ')}`);
    // Nothing was measured yet where there is no folder.
    const { results: files } = await readResults(folder).catch(() => ({ results: [] }));
    const found = await model(target === 'all' ? TARGETS : [target], files, machine);
    for (const { missing } of found.results) if (missing) note(missing);
    return { ...found, bars: [] };
  },
};

/**
 * The roofline of each machine whose limits were measured, as if it had been a result of that day.
 * @param {readonly ResultFile[]} files oldest first
 * @returns {Promise<ResultFile[]>}
 */
export function rooflines(files) {
  const ids = new Set(files.map(({ machine }) => machine.id));
  const kernels = [...ids].flatMap((id) => newest(files, 'kernels', ({ machine }) => machine.id === id) ?? []);
  return Promise.all(
    kernels.map(async (file) => ({
      ...file,
      suite: 'roofline',
      ...(await model(TARGETS, files, file.machine)),
      bars: [],
    })),
  );
}

/**
 * @param {readonly string[]} targets
 * @param {readonly ResultFile[]} files
 * @param {ResultFile['machine']} machine
 */
async function model(targets, files, machine) {
  /** @type {Record<string, any>[]} */
  const results = [];
  /** @type {Record<string, object>} */
  const rates = {};
  /** @type {Record<string, object>} */
  const measured = {};
  for (const name of targets) {
    const target = name === 'cpu' ? cpuTarget(files, machine) : gpuTarget(name, files);
    if (target === null) {
      const missing = `cpu: the limits of this machine (${machine.id}) were not measured; \`npm run bench -- kernels\` does that`;
      results.push({ target: name, missing });
      continue;
    }
    rates[name] = { sustained: target.rates, peak: target.peak };
    if (target.train) measured[name] = { date: target.train.date, commit: target.train.commit };
    for (const work of await workloads())
      results.push(...(name === 't4x2' ? twoGpuResults(work, GPUS.t4) : oneDeviceResults(name, work, target)));
  }
  return { settings: { sequences: SEQUENCES, cpuRowsOfAPass: CPU_ROWS, rates, measured }, results };
}

/** @typedef {{ loss: Loss, tokens: number, supervised: number, isMean: boolean }} Work */

/** 16 sequences of the workload's mean lengths, and of 512 tokens with 60 supervised (what native/bench times). */
async function workloads() {
  const lengths = await workloadLengths();
  const mean = (/** @type {'tokens' | 'answer'} */ field) =>
    Math.round(lengths.reduce((sum, row) => sum + row[field], 0) / lengths.length);
  /** @param {number} tokens @param {number} answer @param {boolean} isMean @returns {Work[]} */
  const of = (tokens, answer, isMean) =>
    LOSSES.map((loss) => ({ loss, tokens, supervised: loss === 'full' ? tokens - 1 : answer, isMean }));
  return [...of(mean('tokens'), mean('answer'), true), ...of(512, 60, false)];
}

/**
 * @typedef {object} Target
 * @property {Rates} rates
 * @property {Rates} peak
 * @property {Design} design
 * @property {ResultFile | undefined} train what was measured there
 * @property {'cpu' | 'cuda'} device
 */

/**
 * @param {readonly ResultFile[]} files
 * @param {ResultFile['machine']} machine
 * @returns {Target | null} null where its limits were not measured
 */
function cpuTarget(files, machine) {
  const here = (/** @type {ResultFile} */ file) => file.machine.id === machine.id;
  const rates = cpuRates(newest(files, 'kernels', here)?.results ?? []);
  return rates && { rates, peak: rates, design: DESIGNS.cpu, train: newest(files, 'train', here), device: 'cpu' };
}

/** @param {string} name @param {readonly ResultFile[]} files @returns {Target} */
function gpuTarget(name, files) {
  const { name: card, design, rates, peak } = name === 'h200' ? GPUS.h200 : GPUS.t4;
  const model = card.split(' ').at(-1) ?? card;
  const has = (/** @type {ResultFile} */ file) => file.machine.gpus.some((gpu) => gpu.name.includes(model));
  const train = name === 't4x2' ? undefined : newest(files, 'train', has);
  return { rates, peak, design: DESIGNS[design], train, device: 'cuda' };
}

/** Sequences as passes. @param {Work} work @param {number} rows of a pass */
function passesOf({ tokens, supervised }, rows) {
  return Array.from({ length: SEQUENCES / rows }, () => ({
    lengths: Array(rows).fill(tokens),
    supervised: rows * supervised,
  }));
}

/** @param {string} target @param {Work} work @param {Target} where */
function oneDeviceResults(target, work, { rates, peak, design, train, device }) {
  const passes = passesOf(work, device === 'cpu' ? CPU_ROWS : SEQUENCES);
  const phases = modelPhases(stepOps(CONFIG_270M, passes, design), rates, peak);
  const step = wholeStep(phases);
  const tokens = SEQUENCES * work.tokens;
  const measured = work.isMean ? measuredPhases(train, work.loss, device, tokens) : {};
  const shared = { target, loss: work.loss, sequences: SEQUENCES, tokens: work.tokens, supervised: work.supervised };
  const unmeasured = device === 'cpu' || train ? {} : { note: NOT_MEASURED };
  return [...phases, step].map((phase) => ({
    ...shared,
    ...phase,
    measuredSeconds: measured[phase.phase] ?? null,
    ...(phase === step && { tokensPerSecond: tokens / step.seconds, ...unmeasured }),
    ...(phase === step && !work.isMean && { launches: plannedLaunches(target, work.loss) }),
  }));
}

/**
 * Seconds by phase of a measured step, brought to the model's number of tokens: steps of real rows differ, and phases come from a step
 * of their own. The update does not depend on tokens.
 * @param {ResultFile | undefined} train
 * @param {Loss} loss
 * @param {'cpu' | 'cuda'} device
 * @param {number} tokens
 * @returns {Record<string, number>}
 */
function measuredPhases(train, loss, device, tokens) {
  const found = train?.results.find(
    (result) =>
      result.loss === loss &&
      (result.device ?? '').startsWith(device) &&
      (result.dtype ?? 'bfloat16') === 'bfloat16' &&
      result.recompute !== 'blocks',
  );
  if (!found) return {};
  const { tokensPerSecond, stepSeconds, profiledStepSeconds = stepSeconds, phases = {} } = found;
  const scale = tokens / (tokensPerSecond * profiledStepSeconds);
  const update = found.updateSeconds ?? phases.update ?? 0;
  const scaled = Object.entries(/** @type {Record<string, number>} */ (phases)).map(([phase, seconds]) => [
    phase,
    phase === 'update' ? seconds : seconds * scale,
  ]);
  return {
    ...Object.fromEntries(scaled),
    step: ((stepSeconds - update) * tokens) / (tokensPerSecond * stepSeconds) + update,
  };
}

/** @param {Work} work @param {import('../roofline/model.mjs').Gpu} gpu */
function twoGpuResults(work, gpu) {
  const [pass] = passesOf(work, SEQUENCES);
  const one = wholeStep(modelPhases(stepOps(CONFIG_270M, [pass], DESIGNS[gpu.design]), gpu.rates)).seconds;
  return LINKS.flatMap((link) =>
    Object.entries(TWO_GPU_DESIGNS).map(([name, { summary }]) => {
      const step = modelTwoGpus(CONFIG_270M, pass, { design: name, gpu, link });
      return {
        target: 't4x2',
        loss: work.loss,
        sequences: SEQUENCES,
        tokens: work.tokens,
        supervised: work.supervised,
        phase: 'step',
        design: name,
        summary,
        link,
        ...step,
        oneGpuSeconds: one,
        speedUp: one / step.seconds,
        tokensPerSecond: (SEQUENCES * work.tokens) / step.seconds,
        measuredSeconds: null,
        boundBy: step.exposedSeconds > step.computeSeconds ? 'link' : 'compute',
        note: NOT_MEASURED,
      };
    }),
  );
}

/** Kernel launches of a step of 16 x 512 tokens; null where none are planned. @param {string} target @param {Loss} loss */
function plannedLaunches(target, loss) {
  const step = NATIVE.ops[`training_step ${loss} ${SEQUENCES}x512`];
  if (target === 't4') return step.launchesT4;
  return target === 'h200' ? step.launchesH200 : null;
}
