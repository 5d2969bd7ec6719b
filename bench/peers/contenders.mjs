// The programs that we are measured against, and how one is started.
import { fileURLToPath } from 'node:url';
import { optionWords, runChild } from '../measure/child.mjs';

/**
 * @typedef {object} Settings of a peer
 * @property {string} [loss-type] of TRL
 * @property {boolean} [compile] of transformers
 * @property {string} [attention]
 * @property {string} [checkpointing]
 * @property {number} batch sequences of a micro-batch
 *
 * @typedef {object} Trained what trl.py and transformers.py print
 * @property {number} tokensPerSecond
 * @property {number} supervisedTokensPerSecond
 * @property {number[]} losses by step
 * @property {{ cpuSeconds: number }[]} steps
 * @property {number} peakResidentBytes
 * @property {number | null} peakDeviceBytes null on a CPU
 * @property {number} peakMinusBaselineBytes
 *
 * @typedef {object} Generated what generate.py prints
 * @property {{ batch: number }} settings
 * @property {number[]} seconds by repetition
 * @property {number} newTokens
 * @property {number[][]} ids by prompt
 * @property {Record<string, number>} secondsPerPromptByBatch
 * @property {number} peakResidentBytes
 * @property {number | null} peakDeviceBytes null on a CPU
 *
 * @typedef {{ trl: Trained, transformers: Trained, generate: Generated }} Printed by program
 */

/**
 * By the name that --peers takes: the program, what is fixed for it and what it does unless told.
 * @type {Record<string, { peer: 'trl' | 'transformers', fixed: Partial<Settings>, usual: Partial<Settings> }>}
 */
export const CONTENDERS = {
  'trl-chunked': {
    peer: 'trl',
    fixed: { 'loss-type': 'chunked_nll' },
    usual: { checkpointing: 'on', attention: 'sdpa' },
  },
  'trl-nll': { peer: 'trl', fixed: { 'loss-type': 'nll' }, usual: { checkpointing: 'on', attention: 'sdpa' } },
  eager: { peer: 'transformers', fixed: { attention: 'eager' }, usual: { checkpointing: 'off' } },
  sdpa: { peer: 'transformers', fixed: { attention: 'sdpa' }, usual: { checkpointing: 'off' } },
  compile: { peer: 'transformers', fixed: { attention: 'sdpa', compile: true }, usual: { checkpointing: 'off' } },
};

/** Settings as a short name, e.g. `trl chunked_nll, sdpa, checkpointing on, batch 2`. @param {string} peer @param {Settings} settings */
export function labelOf(peer, settings) {
  const { 'loss-type': lossType, compile, attention, checkpointing, batch } = settings;
  const parts = [[peer, lossType, compile && 'compiled'].filter(Boolean).join(' '), attention];
  return [...parts, `checkpointing ${checkpointing}`, `batch ${batch}`].join(', ');
}

/**
 * A program of bench/peers.
 * @template {keyof Printed} Name
 * @param {string} python the interpreter
 * @param {Name} name its file, without .py
 * @param {Record<string, string | number | boolean | undefined>} options
 * @param {{ signal?: AbortSignal, timeoutSeconds?: number }} settings
 * @returns {Promise<Printed[Name]>}
 */
export function runPeer(python, name, options, settings) {
  const script = fileURLToPath(new URL(`${name}.py`, import.meta.url));
  return runChild(python, [script, ...optionWords(options)], settings);
}

/**
 * @param {string} python
 * @param {AbortSignal} signal
 * @returns {Promise<Record<string, string>>} versions of those packages that it has
 * @throws Error where there is no such interpreter
 */
export function peerVersions(python, signal) {
  const program = `
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {"python": sys.version.split()[0]}
for name in ("torch", "transformers", "trl", "accelerate"):
    try: found[name] = version(name)
    except PackageNotFoundError: pass
print(json.dumps(found))`;
  return runChild(python, ['-c', program], { signal, timeoutSeconds: 60 });
}

/** Most bytes of a run: of the device's memory where it had one, else of this machine's. @param {Trained | Generated} run */
export const peakOfPeer = ({ peakDeviceBytes, peakResidentBytes }) => peakDeviceBytes ?? peakResidentBytes;
