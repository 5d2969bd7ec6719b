// Loads a model and prints one JSON line.  node bench/workers/load.mjs --model FOLDER [--trainable] [--dtype bfloat16]
import { parseArgs } from 'node:util';
import { Model } from '@gemmatune/engine';
import { peakResidentBytes } from '../measure/memory.mjs';
import { placeOf } from '../measure/options.mjs';

const { values: a } = parseArgs({
  options: {
    model: { type: 'string', default: '' },
    trainable: { type: 'boolean', default: false },
    dtype: { type: 'string', default: 'auto' },
    device: { type: 'string', default: 'cpu' },
    threads: { type: 'string', default: '0' },
  },
});
const cpuBefore = process.cpuUsage();
const began = performance.now();
const model = await Model.load(a.model, { ...placeOf(a), trainable: a.trainable });
const seconds = (performance.now() - began) / 1e3;
const cpu = process.cpuUsage(cpuBefore);
const { dtype } = model;
const parameters = model.parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
await model.dispose();
/** @typedef {typeof result} Printed */
const result = {
  seconds,
  userSeconds: cpu.user / 1e6,
  systemSeconds: cpu.system / 1e6,
  dtype,
  trainable: a.trainable,
  parameters,
  peakBytes: peakResidentBytes(),
};
console.log(JSON.stringify(result));
