// The settings that are fastest on this machine, what each costs, and a configuration that `gemmatune finetune` takes.
/** @import { Setting } from '../tuning/axes.mjs' */
/** @import { Tried } from '../tuning/tried.mjs' */
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemInfo } from '@gemmatune/engine';
import { modelConfig, modelFolder } from '../measure/model.mjs';
import { chosen } from '../measure/options.mjs';
import { LOSSES, ROW_OPTIONS, readRows, rowsFile } from '../measure/workload.mjs';
import { spaceOf } from '../tuning/axes.mjs';
import { commandOf, configOf, writeConfig } from '../tuning/config.mjs';
import { search } from '../tuning/search.mjs';
import { trial } from '../tuning/trial.mjs';
import { busyOf, costOf, peakOf, speedOf } from '../tuning/tried.mjs';

const LOCAL = fileURLToPath(new URL('../results/local', import.meta.url));

const OPTIONS = {
  seconds: { default: '300', help: 'Time for the search.' },
  device: { default: 'cpu', help: 'cpu, cuda or cuda:N.' },
  loss: { default: 'full', help: 'full or completion: which tokens are learnt.' },
  model: { default: '', help: 'Model folder. Default: random weights of the 270M shape.' },
  ...ROW_OPTIONS,
  sequences: { default: '16', help: 'Sequences of an update: fixed, so that results do not change.' },
  batch: { default: '2', help: 'Sequences of a micro-batch to start from.' },
  'trial-sequences': {
    default: '',
    help: 'Sequences of an update in trials: fewer are faster, and micro-batches above it are not tried. Default: 4 on the CPU, all on a GPU.',
  },
  steps: { default: '2', help: 'Updates of a trial; the first is not timed.' },
  memory: { default: '', help: 'GB (10^9 bytes) that training may take. Default: no limit.' },
  config: {
    default: '',
    help: 'Where to write the best settings. Default: a file in bench/results/local.',
  },
};

/** @type {import('./index.mjs').Suite<typeof OPTIONS>} */
export const tune = {
  summary: 'Search for the fastest settings on this machine; writes them as a configuration for gemmatune finetune.',
  options: OPTIONS,
  short: { seconds: '60', 'trial-sequences': '2' },

  async run(options, { note, machine, signal }) {
    const { device } = options;
    const [loss] = chosen('--loss', options.loss, LOSSES);
    const request = requestOf(options);
    const { sequences, trialSequences, steps, seconds, memory } = request;
    const model = await modelFolder(options.model, note);
    const rows = await rowsFile(options, { loss, config: await modelConfig(model) });
    const tokens = Math.round(trialSequences * (await meanTokens(rows)));
    const place = placeOf(device, machine);
    const { start, axes, environments } = spaceOf(place, { batch: request.batch, sequences: trialSequences, tokens });
    const name = `tuned-${machine.id}-${device.replace(':', '')}-${loss}.json`;
    const file = options.config || relative('', join(LOCAL, name));
    const configured = (/** @type {Tried} */ { setting }) =>
      configOf(setting, { device, sequences, cores: machine.cores });

    note(
      `trials: ${steps} updates of ${trialSequences} sequences (an update has ${sequences}), about ${tokens} tokens each`,
    );
    const began = performance.now();
    const { best, tried, ended } = await search({
      ...{ start, axes, memory, signal },
      left: () => seconds - (performance.now() - began) / 1e3,
      measure: (setting, limitSeconds) =>
        trial(setting, {
          ...{ model, rows, device, steps, signal, limitSeconds },
          sequences: trialSequences,
          environment: environments[setting.kernels],
        }),
      onBest: (best) => writeConfig(file, configured(best)),
      onTried: (tried, best) => note(lineOf(tried, start, best)),
    });

    const [{ peak }, busy] = [costOf(best), busyOf(tried)];
    const fits = peak <= memory;
    if (!fits) note(tooLarge(options.memory, peak));
    if (busy !== null && busy < QUIET) note(disturbed(busy));
    note(`${ENDED[ended]}; the best settings are in ${file}:`);
    const environment = environments[best.setting.kernels];
    const command = commandOf(file, environment);
    note(command);
    return {
      settings: {
        model: options.model === '' ? 'random weights of the 270M shape' : basename(options.model),
        ...{ device, loss, sequences, trialSequences, steps, seconds },
        memoryBytes: memory === Number.POSITIVE_INFINITY ? null : memory,
        ...{ fits, ended, busy },
      },
      results: [
        ...tried.map((each) => resultOf(each, best, environments)),
        { best: configured(best), file, environment, command },
      ],
      bars: [],
    };
  },
};

/** @typedef {import('./index.mjs').Values<typeof OPTIONS>} Options */

/** What was asked for, as numbers. @param {Options} options */
function requestOf(options) {
  const number = (/** @type {keyof Options} */ name) => positive(options, name);
  const [sequences, batch, steps] = [number('sequences'), number('batch'), number('steps')];
  const fewer = options.device === 'cpu' ? Math.min(4, sequences) : sequences;
  const trialSequences = options['trial-sequences'] === '' ? fewer : number('trial-sequences');
  if (sequences % trialSequences !== 0 || trialSequences % batch !== 0)
    throw new Error(
      `found --sequences ${sequences}, --trial-sequences ${trialSequences}, --batch ${batch}; expected each a multiple of the next`,
    );
  if (steps < 2) throw new Error('--steps: found 1, expected at least 2: the first is not timed');
  const memory = options.memory === '' ? Number.POSITIVE_INFINITY : number('memory') * 1e9;
  return { sequences, trialSequences, batch, steps, memory, seconds: number('seconds') };
}

/** Trials that ran for less than this share of their threads' time tell more about the other programs than about settings. */
const QUIET = 0.7;
const disturbed = (/** @type {number} */ busy) =>
  `other programs took the cores: trials ran ${Math.round(100 * busy)} % of their time; search again when it is quiet`;

/** @param {string} most @param {number} peak */
const tooLarge = (most, peak) =>
  `no setting that was tried takes ${most} GB or less; the best takes ${gigabytes(peak)} GB`;

const ENDED = {
  settled: 'settled: no other setting was faster',
  time: 'the time is over',
  interrupted: 'interrupted',
};

/** @param {Options} options @param {keyof Options} name */
function positive(options, name) {
  const value = Number(options[name]);
  const whole = name === 'seconds' || name === 'memory' || Number.isInteger(value);
  if (value > 0 && whole) return value;
  throw new Error(`--${name}: found '${options[name]}', expected a ${whole ? '' : 'whole '}number above 0`);
}

/** @param {string} path */
async function meanTokens(path) {
  const rows = await readRows(path);
  return rows.reduce((sum, { inputIds }) => sum + inputIds.length, 0) / rows.length;
}

/** @param {string} device @param {import('../measure/machine.mjs').Machine} machine */
function placeOf(device, { cores, instructionSet, gpus }) {
  const gpu = gpus.find((each) => each.device === (device === 'cuda' ? 'cuda:0' : device));
  return { device, cores, instructionSet, fastBfloat16: systemInfo().fastBfloat16, path: gpu?.path };
}

/**
 * `threads 1: 190 tokens/s (-48.1 %), 5.21 GB (+0.00): slower`
 * @param {Tried} tried
 * @param {Setting} start
 * @param {Tried} best
 */
function lineOf(tried, start, best) {
  const changes = changesOf(tried.setting, start);
  if (speedOf(tried) === null) return `${changes}: ${tried.verdict}`;
  const [{ speed, peak }, ofBest] = [costOf(tried), costOf(best)];
  const against = (100 * (speed / ofBest.speed - 1)).toFixed(1);
  const cost = tried === best ? '' : ` (${signed(against)} % of the best so far)`;
  const memory = tried === best ? '' : ` (${signed(gigabytes(peak - ofBest.peak))})`;
  return `${changes}: ${speed.toFixed(1)} tokens/s${cost}, ${gigabytes(peak)} GB${memory}; ${tried.verdict}`;
}

const gigabytes = (/** @type {number} */ bytes) => (bytes / 1e9).toFixed(2);
const signed = (/** @type {string} */ text) => (text.startsWith('-') ? text : `+${text}`);

/** What a setting changes, in words; where nothing, all of it. @param {Setting} setting @param {Setting} start */
function changesOf(setting, start) {
  const entries = Object.entries(setting);
  const changed = entries.filter(([name, value]) => start[/** @type {keyof Setting} */ (name)] !== value);
  return (changed.length > 0 ? changed : entries).map(([name, value]) => `${name} ${value ?? 'default'}`).join(', ');
}

/** @param {Tried} tried @param {Tried} best @param {import('../tuning/axes.mjs').Space['environments']} environments */
function resultOf(tried, best, environments) {
  const speed = speedOf(tried);
  return {
    setting: { ...tried.setting, environment: environments[tried.setting.kernels] },
    tokensPerSecond: speed,
    rounds: tried.rounds.map((round) => round.tokensPerSecond),
    ofBest: speed === null ? null : speed / costOf(best).speed,
    peakBytes: peakOf(tried),
    seconds: tried.rounds.map(({ stepSeconds }) => stepSeconds).findLast((value) => value !== null) ?? null,
    losses: tried.rounds[0]?.losses ?? [],
    kept: tried === best,
    verdict: tried.verdict,
  };
}
