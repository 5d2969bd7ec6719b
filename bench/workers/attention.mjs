// One sequence, forward and backward, through a few layers of the 270M width over a small vocabulary, so that attention is what grows.
// Prints one JSON line: seconds, activation bytes, peak memory.  node bench/workers/attention.mjs --tokens 8192 --layers sliding,full
import { parseArgs } from 'node:util';
import { IGNORE } from '@gemmatune/data';
import { Model } from '@gemmatune/engine';
import { peakResidentBytes, residentBytes } from '../measure/memory.mjs';
import { CONFIG_270M } from '../measure/model.mjs';
import { placeOf } from '../measure/options.mjs';

const { values: a } = parseArgs({
  options: {
    tokens: { type: 'string' },
    layers: { type: 'string', default: 'sliding,full' },
    'vocab-size': { type: 'string', default: '4096' },
    targets: { type: 'string', default: '256' }, // the last positions; the head's memory stays the same at every length
    dtype: { type: 'string', default: 'auto' },
    device: { type: 'string', default: 'cpu' },
    threads: { type: 'string', default: '0' },
    recompute: { type: 'string', default: 'elementwise' },
  },
});
const tokens = Number(a.tokens);
/** The engine refuses other kinds. */
const layerTypes = /** @type {import('@gemmatune/engine').ModelConfig['layerTypes']} */ (
  a.layers.split(',').map((kind) => `${kind}_attention`)
);
const config = { ...CONFIG_270M, vocabSize: Number(a['vocab-size']), numLayers: layerTypes.length, layerTypes };
const model = await Model.create(config, {
  ...placeOf(a),
  recompute: /** @type {import('@gemmatune/engine').Recompute} */ (a.recompute),
  trainable: true,
  seed: 1,
});

const ids = Int32Array.from({ length: tokens }, (_, t) => (t * 2654435761) % config.vocabSize);
const targets = new Int32Array(tokens).fill(IGNORE);
targets.set(ids.subarray(Math.max(1, tokens - Number(a.targets))), Math.max(0, tokens - Number(a.targets) - 1));
const baselineBytes = residentBytes();
const began = performance.now();
const cpu = process.cpuUsage();
const { lossSum, targets: learnt } = await model.accumulate({ tokens: ids, targets, starts: Int32Array.of(0, tokens) });
const seconds = (performance.now() - began) / 1e3;
const { user, system } = process.cpuUsage(cpu);
/** @typedef {typeof result} Printed */
const result = {
  settings: { ...a, dtype: model.dtype },
  tokens,
  seconds,
  cpuSeconds: (user + system) / 1e6,
  loss: lossSum / learnt,
  memory: model.memory(),
  baselineBytes,
  peakResidentBytes: peakResidentBytes(),
};
await model.dispose();
console.log(JSON.stringify(result));
