import { CannotMeasure } from '../measure/cannot-measure.mjs';
import { messageOf } from '../measure/message.mjs';
import { modelConfig, modelFolder } from '../measure/model.mjs';
import { chosen, MODEL } from '../measure/options.mjs';
import { LOSSES, promptRows, ROW_OPTIONS, rowsFile } from '../measure/workload.mjs';
import { bars } from '../peers/bars.mjs';
import { CONTENDERS, peerVersions } from '../peers/contenders.mjs';
import { compareGeneration } from '../peers/generation.mjs';
import { compareTraining } from '../peers/training.mjs';

const OPTIONS = {
  python: { default: 'python3', help: 'Interpreter with torch, transformers and trl.' },
  ...MODEL,
  ...ROW_OPTIONS,
  losses: {
    default: 'full,completion',
    help: 'full, completion or both; none for generation alone.',
  },
  precisions: { default: 'amp,bf16', help: 'amp (float32 masters, bfloat16 products), bf16, fp32.' },
  peers: { default: 'trl-chunked,trl-nll', help: `Of ${Object.keys(CONTENDERS).join(', ')}.` },
  checkpointing: { default: '', help: "Theirs: on or off; each peer's own default without it." },
  batch: { default: '2', help: 'Sequences of a micro-batch, on both sides.' },
  accumulation: { default: '8', help: 'Micro-batches of a step.' },
  sequences: { default: '0', help: 'Sequences of a step, in place of --accumulation.' },
  'tokens-per-pass': { default: '0', help: 'Ours: merge micro-batches up to so many tokens.' },
  recompute: { default: 'elementwise', help: 'Ours: none, elementwise or blocks.' },
  rounds: { default: '3', help: 'Turns of each side.' },
  steps: { default: '3', help: 'Optimizer steps of a turn, the warm-up included; at least 2.' },
  warmup: { default: '1', help: 'First steps that do not count.' },
  search: {
    default: false,
    help: "Look for TRL's fastest settings first: loss, checkpointing, batch, attention.",
  },
  'search-sequences': { default: '8', help: 'Sequences of the one step of a trial.' },
  generate: {
    default: 'bf16,fp32',
    help: 'Precisions of the comparison of generation; none for no such.',
  },
  'generate-rows': { default: '50', help: 'Prompts.' },
  'new-tokens': { default: '64', help: 'New tokens a prompt.' },
  'generate-batches': { default: '1,4,8,16,32', help: 'Their batch sizes; the fastest counts.' },
  device: { default: 'cpu', help: 'cpu or cuda, on both sides.' },
  threads: { default: '', help: 'CPU threads of both sides; one a core without it.' },
  seconds: { default: '0', help: 'Begin nothing new after so long; 0 for no limit.' },
};

/**
 * @typedef {object} Call what is compared
 * @property {string} precision amp, bf16 or fp32
 * @property {string} model its folder
 * @property {string} rows a file
 * @property {import('./index.mjs').Values<typeof OPTIONS>} options
 * @property {() => boolean} enough the time is over
 * @property {(sentence: string) => void} skip hears of what is left out
 * @property {(line: string) => void} note
 * @property {AbortSignal} signal
 */

/** @type {import('./index.mjs').Suite<typeof OPTIONS>} */
export const peers = {
  summary: 'Against TRL and transformers on the same rows, in turns: speed, memory, losses; training and generation.',
  options: OPTIONS,
  short: {
    losses: 'full',
    precisions: 'amp',
    peers: 'trl-chunked',
    rounds: '1',
    steps: '2',
    sequences: '4',
    generate: 'none',
    seconds: '100',
  },

  async run(given, { note, machine, signal }) {
    const names = chosen('--peers', given.peers, Object.keys(CONTENDERS));
    if (Number(given.steps) < 2)
      throw new Error(
        `--steps: found ${given.steps}, expected at least 2: before the first update memory is not all there`,
      );
    const versions = await peerVersions(given.python, signal).catch((error) => {
      throw new CannotMeasure(messageOf(error));
    });
    const missing = ['torch', 'transformers', ...(names.some(isTrl) ? ['trl'] : [])].filter((name) => !versions[name]);
    if (missing.length > 0)
      throw new CannotMeasure(`${given.python} has no ${missing.join(', ')}; --python names another Python`);

    const options = { ...given, threads: given.threads || String(machine.cores) };
    /** @type {string[]} */
    const skipped = [];
    const skip = (/** @type {string} */ sentence) => {
      skipped.push(sentence);
      note(`left out: ${sentence}`);
    };
    const end = Number(options.seconds) * 1e3 + performance.now();
    const enough = () => options.seconds !== '0' && performance.now() > end;
    const model = await modelFolder(options.model, note);
    const config = await modelConfig(model);
    /** @type {Record<string, any>[]} */
    const results = [];
    const common = { model, options, enough, skip, note, signal };

    for (const loss of options.losses === 'none' ? [] : chosen('--losses', options.losses, LOSSES)) {
      const rows = await rowsFile(options, { loss, config });
      for (const precision of options.precisions.split(',')) {
        if (enough()) skip(`loss ${loss}, ${precision}: the time was over`);
        else {
          const sequences = Number(options.sequences) || Number(options.batch) * Number(options.accumulation);
          const found = (/** @type {object} */ trial) => results.push(trial);
          const call = { ...common, loss, precision, rows, peers: names, sequences, found };
          results.push(...(await compareTraining(call)));
        }
      }
    }
    for (const precision of options.generate === 'none' ? [] : options.generate.split(',')) {
      if (enough()) skip(`generate, ${precision}: the time was over`);
      else {
        const rows = await promptRows(options, config);
        results.push(...(await compareGeneration({ ...common, precision, rows })));
      }
    }
    if (results.length === 0) throw new Error(`nothing could be compared: ${skipped[0]}`);
    for (const { lossesAgree, against, loss, precision, lossDifference } of results)
      if (lossesAgree === false)
        note(
          `loss ${loss}, ${precision}: ours differs from ${against} by ${lossDifference}, more than rounding explains`,
        );
    return { settings: { ...options, versions, skipped }, results, bars: bars(results) };
  },
};

const isTrl = (/** @type {string} */ name) => CONTENDERS[name].peer === 'trl';
