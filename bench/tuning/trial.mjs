import { runWorker } from '../measure/child.mjs';
import { peakBytesOf } from '../measure/memory.mjs';
import { messageOf } from '../measure/message.mjs';

/**
 * One setting, measured by a training worker of its own.
 * @param {import('./axes.mjs').Setting} setting
 * @param {object} run
 * @param {string} run.model folder
 * @param {string} run.rows file of {input_ids, labels}
 * @param {string} run.device
 * @param {number} run.sequences of an update
 * @param {number} run.steps updates, of which the first is not timed
 * @param {Record<string, string>} run.environment variables of the setting's kernels
 * @param {AbortSignal} [run.signal]
 * @param {number} run.limitSeconds after which it is ended
 * @returns {Promise<import('./tried.mjs').Trial>} a failure is told in `problem`
 */
export async function trial({ dtype, threads, batch, tokensPerPass, recompute }, run) {
  const { model, rows, device, sequences, steps, environment, signal, limitSeconds } = run;
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1e3;
  // On a GPU the trainer merges an update's micro-batches into one pass where that fits.
  const pass = tokensPerPass ?? (device === 'cpu' ? undefined : Number.MAX_SAFE_INTEGER);
  const options = { model, rows, device, dtype, threads, batch, sequences, recompute, steps, warmup: 1 };
  try {
    const result = await runWorker(
      'train.mjs',
      { ...options, 'tokens-per-pass': pass },
      { signal, env: environment, timeoutSeconds: limitSeconds },
    );
    return {
      tokensPerSecond: result.tokensPerSecond,
      peakBytes: peakBytesOf(result),
      stepSeconds: result.medianStepSeconds,
      seconds: seconds(),
      busy: device === 'cpu' ? busyShare(result.steps.slice(1), threads) : null,
      losses: result.losses,
    };
  } catch (error) {
    const ended = seconds() >= limitSeconds;
    return {
      tokensPerSecond: null,
      peakBytes: null,
      stepSeconds: null,
      seconds: seconds(),
      busy: null,
      losses: [],
      ended,
      problem: ended ? `ended after ${Math.round(seconds())} s: far slower` : messageOf(error),
    };
  }
}

/** @param {readonly { seconds: number, cpuSeconds: number }[]} steps @param {number} threads */
function busyShare(steps, threads) {
  const sum = (/** @type {'seconds' | 'cpuSeconds'} */ field) => steps.reduce((total, step) => total + step[field], 0);
  return sum('cpuSeconds') / sum('seconds') / threads;
}
