// Calls that meet the end of their world: workers terminated and processes leaving while native threads compute; and a busy event
// loop that must stay free. Nothing here asserts a time.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setImmediate as nextTick } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Model, parseModelConfig } from '@gemmatune/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADDON, addon, batch, config, options } from './addon.js';

/** Work that lasts: a model, a batch of 2048 tokens, and a generation of as many. */
const LONG = `
const addon = require(${JSON.stringify(ADDON)});
const model = new addon.Model(
  { ...${JSON.stringify({ ...config(), hiddenSize: 128, intermediateSize: 512 })}, fullAttention: Uint8Array.of(1, 1) },
  ${JSON.stringify(options())},
);
const tokens = new Int32Array(2048).fill(5);
const work = {
  accumulate: () => model.accumulate({ tokens, targets: tokens, starts: Int32Array.of(0, 2048) }, true),
  generate: () => model.generate(Int32Array.of(2), Int32Array.of(0, 1), { maxNewTokens: 2000, stopIds: new Int32Array(),
    temperature: 0, topK: 0, topP: 1, seed: 0, batchSize: 1 }, () => {}),
};
`;

const inWorker = (code: string) => new Worker(code, { eval: true });
const inProcess = (code: string) =>
  spawnSync(process.execPath, ['-e', code], { encoding: 'utf8', timeout: 60_000, env: process.env });

describe.each(['accumulate', 'generate'])('during %s', (method) => {
  it('worker.terminate() ends the worker and not the process', async () => {
    const worker = inWorker(`${LONG}
      const { parentPort } = require('node:worker_threads');
      work.${method}();
      parentPort.postMessage('started');`);
    await once(worker, 'message');
    expect(await worker.terminate()).toBe(1);
    // The addon is whole: this thread still computes with it.
    const model = new addon.Model(config(), options());
    await model.initialize(1, 0.02);
    expect((await model.score(batch())).targets).toBe(4);
    model.dispose();
  });

  it('a worker that ends by itself takes its running call along', async () => {
    const worker = inWorker(`${LONG} work.${method}(); process.exit(3);`);
    expect(await once(worker, 'exit')).toEqual([3]);
  });

  it('process.exit() keeps its status', () => {
    const { status, signal, stderr } = inProcess(`${LONG} work.${method}(); setImmediate(() => process.exit(7));`);
    expect({ status, signal, stderr }).toEqual({ status: 7, signal: null, stderr: '' });
  });

  it('an uncaught error is reported as one', () => {
    const { status, stderr } = inProcess(
      `${LONG} work.${method}(); setImmediate(() => { throw new Error('planted'); });`,
    );
    expect(status).toBe(1);
    expect(stderr).toContain('planted');
  });

  it('a model that nobody holds any more lives until the call ends', () => {
    const { status, stdout } = inProcess(`${LONG}
      let running = work.${method}();
      delete work.${method};
      running.then(() => console.log('done'));`);
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'done\n' });
  });
});

describe('workers', () => {
  it('load, train and are terminated twenty times', async () => {
    for (let i = 0; i < 20; i++) {
      const worker = inWorker(`
        const addon = require(${JSON.stringify(ADDON)});
        const { parentPort } = require('node:worker_threads');
        const model = new addon.Model(
          { ...${JSON.stringify(config())}, fullAttention: Uint8Array.of(0, 1) }, ${JSON.stringify(options())});
        const batch = { tokens: Int32Array.of(2, 5, 6), targets: Int32Array.of(5, 6, -100), starts: Int32Array.of(0, 3) };
        model.initialize(1, 0.02).then(() => model.accumulate(batch, true)).then((m) => {
          parentPort.postMessage(m.targets);
          model.accumulate(batch, true);
        });`);
      expect(await once(worker, 'message')).toEqual([2]);
      await worker.terminate();
    }
  });

  it('two at once, with this thread, get the bits that one gets', async () => {
    const code = `
      const addon = require(${JSON.stringify(ADDON)});
      const { parentPort } = require('node:worker_threads');
      const model = new addon.Model(
        { ...${JSON.stringify(config())}, fullAttention: Uint8Array.of(0, 1) }, ${JSON.stringify({ ...options(), threads: 2 })});
      const tokens = Int32Array.from({ length: 500 }, (_, i) => (i * 7) % 64);
      (async () => {
        await model.initialize(1, 0.02);
        let last;
        for (let i = 0; i < 10; i++) last = await model.accumulate({ tokens, targets: tokens, starts: Int32Array.of(0, 200, 500) }, true);
        parentPort.postMessage([last.lossSum, await model.read('gradient', 0)]);
      })();`;
    const alone = await once(inWorker(code), 'message');
    const together = await Promise.all([inWorker(code), inWorker(code)].map((worker) => once(worker, 'message')));
    expect(together).toEqual([alone, alone]);
  });
});

describe('the event loop', () => {
  const shape = parseModelConfig(
    {
      model_type: 'gemma3_text',
      vocab_size: 512,
      hidden_size: 128,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      head_dim: 32,
      intermediate_size: 512,
      sliding_window: 512,
      eos_token_id: 1,
    },
    'test',
  );
  let model: Model;
  beforeAll(async () => {
    model = await Model.create(shape, { dtype: 'float32', trainable: true, seed: 1 });
  });
  afterAll(() => model.dispose());

  it('turns while a micro-batch is computed', async () => {
    const tokens = Int32Array.from({ length: 2048 }, (_, i) => i % 512);
    let running = true;
    const done = model.accumulate({ tokens, targets: tokens, starts: Int32Array.of(0, 2048) }).finally(() => {
      running = false;
    });
    let turns = 0;
    for (; running; turns++) await nextTick();
    await done;
    // Computed on this thread, it would have turned once.
    expect(turns).toBeGreaterThan(10);
  });

  const long = { maxNewTokens: 20_000, stopIds: [] };

  it('an AbortSignal ends a generation, with its reason, and the model works on', async () => {
    const controller = new AbortController();
    const running = model.generate([Int32Array.of(2)], { ...long, signal: controller.signal });
    await nextTick();
    controller.abort(new Error('enough'));
    await expect(running).rejects.toMatchObject({ message: 'enough' });
    expect(await model.generate([Int32Array.of(2)], { maxNewTokens: 2, stopIds: [] })).toHaveLength(1);
  });

  it('an aborted signal refuses before any work, and one that fires later is ignored', async () => {
    await expect(model.generate([Int32Array.of(2)], { ...long, signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: 'AbortError',
    });
    const controller = new AbortController();
    await model.generate([Int32Array.of(2)], { maxNewTokens: 2, signal: controller.signal });
    controller.abort();
    expect(await model.generate([Int32Array.of(2)], { maxNewTokens: 2, stopIds: [] })).toHaveLength(1);
  });

  it('a progress callback that throws ends the generation with its error', async () => {
    const prompts = Array.from({ length: 8 }, () => Int32Array.of(2, 3));
    const running = model.generate(prompts, {
      maxNewTokens: 2,
      stopIds: [],
      batchSize: 1,
      onProgress: () => {
        throw new Error('planted');
      },
    });
    await expect(running).rejects.toThrow('planted');
    expect(await model.generate(prompts, { maxNewTokens: 2, stopIds: [] })).toHaveLength(8);
  });

  it('so does one that throws when the last prompt is done; the next generation is not affected', async () => {
    const running = model.generate([Int32Array.of(2)], {
      maxNewTokens: 1,
      stopIds: [],
      onProgress: () => {
        throw new Error('planted');
      },
    });
    await expect(running).rejects.toThrow('planted');
    expect(await model.generate([Int32Array.of(2)], { maxNewTokens: 2, stopIds: [] })).toHaveLength(1);
  });

  it('a cancel that meets another call, or the end of a generation, does not cancel the next one', async () => {
    const raw = new addon.Model(config(), options());
    await raw.initialize(1, 0.02);
    const generate = () =>
      raw.generate(Int32Array.of(2), Int32Array.of(0, 1), {
        maxNewTokens: 2,
        stopIds: new Int32Array(),
        temperature: 0,
        topK: 0,
        topP: 1,
        seed: 0,
        batchSize: 1,
      });
    const scoring = raw.score(batch());
    raw.cancel();
    await scoring;
    expect(await generate()).toHaveLength(1);
    raw.dispose();
  });

  it('dispose waits for the running call; later calls are refused', async () => {
    const other = await Model.create(shape, { dtype: 'float32', trainable: true });
    const tokens = new Int32Array(512);
    const running = other.accumulate({ tokens, targets: tokens, starts: Int32Array.of(0, 512) });
    await other.dispose();
    expect((await running).targets).toBe(512);
    await expect(other.score({ tokens, targets: tokens, starts: Int32Array.of(0, 512) })).rejects.toMatchObject({
      code: 'ERR_GEMMATUNE_CLOSED',
    });
    await other.dispose();
  });
});
