import { runWorker } from '../measure/child.mjs';
import { peakBytesOf } from '../measure/memory.mjs';
import { modelConfig, modelFolder } from '../measure/model.mjs';
import { MODEL, PLACE } from '../measure/options.mjs';
import { median } from '../measure/statistics.mjs';
import { promptRows, ROW_OPTIONS } from '../measure/workload.mjs';

/** Rows that an evaluation generates for, side by side; the command's own default. */
const EVALUATION_BATCH = 16;

const OPTIONS = {
  ...MODEL,
  ...ROW_OPTIONS,
  batches: { default: '1,4,16,64', help: 'Batch sizes.' },
  'new-tokens': { default: '33', help: 'New tokens a prompt; the first comes from prefill.' },
  repeat: { default: '2', help: 'Repetitions; medians count.' },
  'evaluate-rows': {
    default: '109',
    help: 'Rows of the evaluation, 64 new tokens each; 0 for none.',
  },
  ...PLACE,
};

/** @type {import('./index.mjs').Suite<typeof OPTIONS>} */
export const decode = {
  summary: 'Greedy generation: prefill and decode tokens/s by batch size, and the time of an evaluation.',
  options: OPTIONS,
  short: { batches: '1,16', 'new-tokens': '17', repeat: '1', 'evaluate-rows': '16' },

  async run(options, { note, signal }) {
    const model = await modelFolder(options.model, note);
    const rows = await promptRows(options, await modelConfig(model));
    const { dtype, device, threads } = options;
    const generate = (settings) =>
      runWorker('generate.mjs', { model, rows, dtype, device, threads, ...settings }, { signal });

    const results = [];
    for (const batch of options.batches.split(',').map(Number)) {
      const settings = { prompts: batch, batch, 'new-tokens': options['new-tokens'], repeat: options.repeat };
      const measured = await generate(settings);
      results.push(...ofBatch(batch, measured));
      const [prefill, decoded] = results.slice(-2).map(({ tokensPerSecond }) => tokensPerSecond?.toFixed(1) ?? '?');
      note(`batch ${batch}: prefill ${prefill} tokens/s, decode ${decoded} tokens/s`);
    }
    if (options['evaluate-rows'] !== '0') {
      const settings = { prompts: options['evaluate-rows'], batch: EVALUATION_BATCH, 'new-tokens': 64 };
      const measured = await generate(settings);
      const { newTokens, settings: used } = measured;
      const seconds = median(measured.seconds);
      results.push({
        what: 'evaluate',
        batch: EVALUATION_BATCH,
        dtype: used.dtype,
        device,
        rows: used.prompts,
        newTokens,
        tokensPerSecond: newTokens / seconds,
        seconds,
        peakBytes: peakBytesOf(measured),
      });
      note(`evaluation of ${used.prompts} rows: ${seconds.toFixed(1)} s`);
    }
    return { settings: { ...options, prompts: 'what comes before the answer of completion rows' }, results, bars: [] };
  },
};

/** Prefill is the time to one new token, decode what the others take beyond it. */
function ofBatch(batch, measured) {
  const { prefillSeconds, seconds, promptTokens, newTokens, settings } = measured;
  const { dtype, device, prompts } = settings;
  const prefill = median(prefillSeconds);
  const decoded = median(seconds.map((whole, i) => whole - prefillSeconds[i]));
  // A machine busy with something else can make the difference of two times negative: that is no measurement.
  const rate = decoded > 0 ? (newTokens - prompts) / decoded : null;
  const common = { batch, dtype, device, peakBytes: peakBytesOf(measured) };
  return [
    { what: 'prefill', ...common, tokensPerSecond: promptTokens / prefill, seconds: prefill, promptTokens },
    { what: 'decode', ...common, tokensPerSecond: rate, seconds: decoded, newTokens },
  ];
}
