/** @import { ResultFile } from '../measure/results.mjs' */

/**
 * @typedef {{ default: string | boolean, help: string }} Option a switch where the default is a boolean
 *
 * @typedef {object} Context
 * @property {(line: string) => void} note a line for people, on stderr
 * @property {ResultFile['machine']} machine
 * @property {AbortSignal} signal aborted by Ctrl-C
 * @property {readonly ResultFile[]} earlier what other suites found in this call
 *
 * @typedef {Pick<ResultFile, 'settings' | 'results' | 'bars'>} Found
 */

/**
 * @template {Record<string, Option>} Options
 * @typedef {{ [name in keyof Options]: Options[name]['default'] }} Values
 */

/**
 * @template {Record<string, Option>} Options
 * @typedef {object} Suite
 * @property {string} summary one line for --help
 * @property {Options} options
 * @property {boolean} [isKept] false: what it finds follows from other results, and is not written
 * @property {Partial<Values<Options>>} short what `npm run bench` alone uses instead of the defaults
 * @property {(options: Values<Options>, context: Context) => Promise<Found>} run
 */

/**
 * Every suite, in the order in which `npm run bench` alone runs them. Each is loaded when it is called. `seconds`: what its short version may
 * take on two cores.
 * @type {Record<string, { seconds: number, load: () => Promise<Suite<any>> }>}
 */
export const SUITES = {
  kernels: { seconds: 60, load: async () => (await import('./kernels.mjs')).kernels },
  train: { seconds: 120, load: async () => (await import('./train.mjs')).train },
  decode: { seconds: 60, load: async () => (await import('./decode.mjs')).decode },
  pipeline: { seconds: 40, load: async () => (await import('./pipeline.mjs')).pipeline },
  scaling: { seconds: 50, load: async () => (await import('./scaling.mjs')).scaling },
  ranks: { seconds: 60, load: async () => (await import('./ranks.mjs')).ranks },
  tune: { seconds: 60, load: async () => (await import('./tune.mjs')).tune },
  peers: { seconds: 120, load: async () => (await import('./peers.mjs')).peers },
  roofline: { seconds: 5, load: async () => (await import('./roofline.mjs')).roofline },
};

/** Reads results instead of measuring. */
export const REPORT = { load: () => import('./report.mjs') };
