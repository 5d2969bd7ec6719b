// The programs that we are measured against, and how one is started.
import { fileURLToPath } from 'node:url';
import { optionWords, runChild } from '../measure/child.mjs';

/** By the name that --peers takes: the program, what is fixed for it and what it does unless told. */
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

/** Settings as a short name, e.g. `trl chunked_nll, sdpa, checkpointing on, batch 2`. */
export function labelOf(peer, settings) {
  const { 'loss-type': lossType, compile, attention, checkpointing, batch } = settings;
  const parts = [[peer, lossType, compile && 'compiled'].filter(Boolean).join(' '), attention];
  return [...parts, `checkpointing ${checkpointing}`, `batch ${batch}`].join(', ');
}

/**
 * A program of bench/peers.
 * @param {string} python the interpreter
 * @param {string} name its file, without .py
 * @param {Record<string, string | number | boolean>} options
 * @param {{ signal?: AbortSignal, timeoutSeconds?: number }} settings
 */
export function runPeer(python, name, options, settings) {
  const script = fileURLToPath(new URL(`${name}.py`, import.meta.url));
  return runChild(python, [script, ...optionWords(options)], settings);
}

/**
 * @param {string} python
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

/** Most bytes of a run: of the device's memory where it had one, else of this machine's. */
export const peakOfPeer = ({ peakDeviceBytes, peakResidentBytes }) => peakDeviceBytes ?? peakResidentBytes;
