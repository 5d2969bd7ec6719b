/** @import { DesignName } from '../roofline/costs.mjs' */
/** @import { Rates } from '../roofline/model.mjs' */
/** @import { ResultFile } from './results.mjs' */
import { cpuRates } from '../roofline/model.mjs';
import { newest, readResults } from './read-results.mjs';
import { RESULTS } from './results.mjs';

/**
 * What the newest kernels result measured as the limits of a device.
 * @param {ResultFile['machine']} machine
 * @param {{ device: string, dtype: 'bfloat16' | 'float32' }} where as a model names them
 * @param {readonly ResultFile[]} earlier results that may not lie in the usual place
 * @returns {Promise<{ design: DesignName, rates: Rates } | null>} null where nothing was measured
 */
export async function measuredLimits(machine, { device, dtype }, earlier = []) {
  // Nothing was measured yet where there is no folder.
  const { results: files } = await readResults(RESULTS).catch(() => ({ results: [] }));
  const here = (/** @type {ResultFile} */ file) => file.machine.id === machine.id;
  const results = newest([...files, ...earlier], 'kernels', here)?.results ?? [];
  if (device === 'cpu') {
    const rates = cpuRates(results, dtype);
    return rates && { design: dtype === 'float32' ? 'cpu float32' : 'cpu', rates };
  }
  const gpu = machine.gpus.find((each) => sameDevice(each.device, device));
  const limits = results.filter((result) => result.limit && sameDevice(result.device ?? 'cpu', device));
  const products = Math.max(0, ...limits.map(({ flopsPerSecond }) => flopsPerSecond ?? 0));
  const memory = limits.find(({ limit }) => limit === 'copy')?.bytesPerSecond;
  return gpu && products && memory ? { design: gpu.path, rates: { products, attention: products, memory } } : null;
}

/** 'cuda:0 sm80' of a result is 'cuda' or 'cuda:0' of a model. */
const sameDevice = (measured, asked) => measured.split(' ')[0].replace(/:0$/, '') === asked.replace(/:0$/, '');
