import { runWorker } from '../measure/child.mjs';
import { measuredLimits } from '../measure/limits.mjs';
import { peakBytesOf } from '../measure/memory.mjs';
import { modelConfig, modelFolder } from '../measure/model.mjs';
import { chosen, MODEL, PLACE } from '../measure/options.mjs';
import { phaseSeconds } from '../measure/phases.mjs';
import { median, spread } from '../measure/statistics.mjs';
import { LOSSES, ROW_OPTIONS, rowsFile } from '../measure/workload.mjs';
import { DESIGNS, stepFlops, stepOps } from '../roofline/costs.mjs';
import { modelPhases, wholeStep } from '../roofline/model.mjs';

const OPTIONS = {
  ...MODEL,
  ...ROW_OPTIONS,
  losses: { default: 'full,completion', help: 'Which tokens are learnt: full, completion or both.' },
  steps: { default: '4', help: 'Optimizer steps, the warm-up included; one more is profiled.' },
  warmup: { default: '1', help: 'First steps that do not count: they pay for memory.' },
  batch: { default: '2', help: 'Sequences of a micro-batch.' },
  accumulation: { default: '8', help: 'Micro-batches of a step.' },
  sequences: { default: '0', help: 'Sequences of a step, in place of --accumulation.' },
  'tokens-per-pass': {
    default: '0',
    help: 'Merge micro-batches up to so many tokens; 0: one a pass.',
  },
  recompute: { default: 'elementwise', help: 'Make again in backward: none, elementwise or blocks.' },
  precision: { default: '', help: 'amp, bf16 (no float32 masters) or fp32, in place of --dtype.' },
  ...PLACE,
};

/** @type {import('./index.mjs').Suite<typeof OPTIONS>} */
export const train = {
  summary: 'Training steps: tokens/s, seconds by phase, peak memory, share of the measured peak.',
  options: OPTIONS,
  short: { steps: '2', sequences: '8' },

  async run(options, { note, machine, signal, earlier }) {
    const { losses, rows, dataset, tokenizer, ...settings } = options;
    const model = await modelFolder(options.model, note);
    const config = await modelConfig(model);
    const results = [];
    for (const loss of chosen('--losses', losses, LOSSES)) {
      const file = await rowsFile({ rows, dataset, tokenizer }, { loss, config });
      const measured = await runWorker('train.mjs', { ...settings, model, rows: file, profile: true }, { signal });
      const where = { device: options.device, dtype: measured.settings.dtype };
      const result = summary(loss, measured, config, await measuredLimits(machine, where, earlier));
      results.push(result);
      note(describe(result));
    }
    return { settings: options, results, bars: [] };
  },
};

/**
 * One loss's result.
 * @param {string} loss
 * @param {import('../workers/train.mjs').Printed} measured
 * @param {import('@gemmatune/engine').ModelConfig} config
 * @param {Awaited<ReturnType<typeof measuredLimits>>} limits null where the kernels suite has not measured them
 */
function summary(loss, measured, config, limits) {
  const { steps, settings } = measured;
  const profile = /** @type {NonNullable<typeof measured.profile>} */ (measured.profile); // it was asked for
  const timed = steps.length > Number(settings.warmup) ? steps.slice(Number(settings.warmup)) : steps;
  const rates = timed.map(({ passes, supervised, seconds }) => {
    const lengths = passes.flatMap((pass) => pass.lengths);
    return stepFlops(config, lengths, supervised).total / seconds;
  });
  const shares =
    limits &&
    timed.map(({ passes, seconds }) => {
      const ops = stepOps(config, passes, DESIGNS[limits.design]);
      return wholeStep(modelPhases(ops, limits.rates)).floorSeconds / seconds;
    });
  return {
    loss,
    device: settings.device,
    dtype: settings.dtype,
    precision: settings.precision || (settings.dtype === 'float32' ? 'fp32' : 'amp'),
    sequences: settings.sequences,
    batch: settings.batch,
    accumulation: settings.accumulation,
    recompute: settings.recompute,
    tokensPerSecond: measured.tokensPerSecond,
    supervisedTokensPerSecond: measured.supervisedTokensPerSecond,
    stepSeconds: measured.medianStepSeconds,
    stepSecondsSpread: spread(timed.map(({ seconds }) => seconds)),
    updateSeconds: median(timed.map(({ updateSeconds }) => updateSeconds)),
    cpuSeconds: median(timed.map(({ cpuSeconds }) => cpuSeconds)),
    peakBytes: peakBytesOf(measured),
    memory: measured.memory,
    flopsPerSecond: median(rates),
    peakFlopsPerSecond: limits?.rates.products ?? null,
    mfu: limits && median(rates) / limits.rates.products,
    rooflineShare: shares && median(shares),
    launchesPerStep: settings.device === 'cpu' ? null : profile.ops.reduce((sum, { launches }) => sum + launches, 0),
    phases: phaseSeconds(profile.ops),
    profiledStepSeconds: profile.seconds,
    ops: profile.ops,
    losses: measured.losses,
  };
}

/** @param {ReturnType<typeof summary>} result */
function describe({ loss, tokensPerSecond, stepSeconds, peakBytes, mfu, phases }) {
  const share = mfu === null ? '' : `, ${(mfu * 100).toFixed(0)} % of the peak`;
  const parts = Object.entries(phases).map(([phase, seconds]) => `${phase} ${seconds.toFixed(2)}`);
  const memory = (peakBytes / 2 ** 30).toFixed(2);
  return `loss ${loss}: ${tokensPerSecond.toFixed(0)} tokens/s, ${stepSeconds.toFixed(2)} s a step${share}, ${memory} GiB; s by phase: ${parts.join(', ')}`;
}
