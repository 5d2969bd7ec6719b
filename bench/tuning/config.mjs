// Tuned settings as a configuration of `gemmatune finetune`; what only an environment variable sets is told as a line to run.
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * @param {import('./axes.mjs').Setting} setting
 * @param {{ device: string, sequences: number, cores: number }} run sequences of one update
 * @returns {Record<string, string | number>} options that finetune knows, and no others
 */
export function configOf({ dtype, threads, batch, tokensPerPass, recompute }, { device, sequences, cores }) {
  return {
    device,
    dtype,
    ...(threads > 0 && threads !== cores && { threads }),
    perDeviceTrainBatchSize: batch,
    gradientAccumulationSteps: sequences / batch,
    ...(tokensPerPass !== null && { tokensPerPass }),
    ...((device === 'cpu' || recompute !== 'none') && { recompute }),
  };
}

/**
 * @param {string} path appears whole, in place of an older one
 * @param {Record<string, unknown>} config
 */
export async function writeConfig(path, config) {
  await mkdir(dirname(path), { recursive: true });
  const beside = `${path}.${process.pid}`;
  await writeFile(beside, `${JSON.stringify(config, null, 2)}\n`);
  await rename(beside, path);
}

/**
 * @param {string} path of the configuration
 * @param {Record<string, string>} environment variables that the kernels need
 * @returns {string} what to type
 */
export function commandOf(path, environment) {
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value} `);
  return `${variables.join('')}npx gemmatune finetune --config ${path} --model MODEL --train ROWS --output-dir DIR`;
}
