import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { NativeDevice, NativeModule } from './addon.js';
import { countDevices, devices, parseDevice } from './device.js';
import { Model } from './model.js';

const TINY = fileURLToPath(new URL('../../../test/golden/tiny', import.meta.url));

/** What the native core says of devices; undefined: the real one is asked. */
const machine = vi.hoisted(() => ({ devices: undefined as NativeModule['devices'] | undefined }));
vi.mock('./native.js', async (original) => {
  const real = await original<typeof import('./native.js')>();
  return { ...real, native: () => (machine.devices ? { devices: machine.devices } : real.native()) };
});
beforeEach(() => {
  machine.devices = undefined;
});

const T4: NativeDevice = {
  index: 0,
  name: 'Tesla T4',
  capability: 75,
  path: 750,
  multiprocessors: 40,
  memory: 15_835_660_288,
  free: 15_728_640_000,
  driver: 12040,
  runtime: 13000,
};
const A10G: NativeDevice = { ...T4, index: 1, name: 'NVIDIA A10G', capability: 86, path: 800 };

describe('parseDevice', () => {
  it.each([
    ['cpu', { device: 'cpu', index: 0 }],
    ['cuda', { device: 'cuda', index: 0 }],
    ['cuda:0', { device: 'cuda', index: 0 }],
    ['cuda:12', { device: 'cuda', index: 12 }],
    ['emulated:1', { device: 'emulated', index: 1 }],
  ])('reads %s', (spec, parsed) => {
    expect(parseDevice(spec)).toEqual(parsed);
  });

  it.each([
    '',
    'gpu',
    'auto',
    'cpu:0',
    'cuda:',
    'cuda:-1',
    'cuda:1.5',
    'cuda:00000',
    'cuda 1',
    'CUDA',
    'xcuda',
    'cuda1',
  ])('refuses %j', (spec) => {
    expect(parseDevice(spec)).toBeUndefined();
  });
});

describe('devices', () => {
  it('names each as options take it, with versions as people write them', () => {
    machine.devices = () => ({ devices: [T4, A10G], problem: null });
    const { devices: found, problem } = devices('cuda');
    expect(problem).toBeNull();
    expect(found[0]).toEqual({
      device: 'cuda:0',
      name: 'Tesla T4',
      computeCapability: '7.5',
      path: 'sm75',
      multiprocessors: 40,
      memory: 15_835_660_288,
      free: 15_728_640_000,
      driver: '12.4',
      runtime: '13.0',
    });
    expect(found[1]).toMatchObject({ device: 'cuda:1', computeCapability: '8.6', path: 'sm80' });
  });

  it('passes on why there is none, and errors as EngineError', () => {
    machine.devices = () => ({ devices: [], problem: 'there is no NVIDIA driver on this machine' });
    expect(devices('cuda')).toEqual({ devices: [], problem: 'there is no NVIDIA driver on this machine' });
    machine.devices = () => {
      throw Object.assign(new Error('GEMMATUNE_GPU is "x"'), { code: 'ERR_GEMMATUNE_ARGUMENT' });
    };
    expect(() => devices('cuda')).toThrow(
      expect.objectContaining({ name: 'EngineError', code: 'ERR_GEMMATUNE_ARGUMENT', message: 'GEMMATUNE_GPU is "x"' }),
    );
  });
});

describe('a model', () => {
  it('refuses a device that is none, and one that is not there, with the reason', async () => {
    await expect(Model.load(TINY, { device: 'gpu' as 'cuda' })).rejects.toMatchObject({
      code: 'ERR_GEMMATUNE_ARGUMENT',
      message: "device is 'gpu', expected cpu, cuda, cuda:1 (or another number) or emulated",
    });
    const { devices: found, problem } = devices('cuda');
    await expect(Model.load(TINY, { device: `cuda:${found.length + 7}` })).rejects.toMatchObject({
      code: 'ERR_GEMMATUNE_DEVICE',
      message: problem ?? `device ${found.length + 7} does not exist: there are ${found.length}, counted from 0`,
    });
  });

  it('counts them without opening one', () => {
    for (const kind of ['cuda', 'emulated'] as const) {
      const { devices: usable, problem } = devices(kind);
      if (problem === null) expect(countDevices(kind)).toBe(usable.length);
      else expect(countDevices(kind)).toBeGreaterThanOrEqual(usable.length);
    }
    expect(() => countDevices('cpu' as never)).toThrow("device is 'cpu', expected cuda or emulated");
  });

  it('takes no GPU type but bfloat16 by itself, and says so of another', async () => {
    if (devices('emulated').problem !== null) return;
    await expect(Model.load(TINY, { device: 'emulated', dtype: 'float32' })).rejects.toThrow(
      'dtype is float32, expected bfloat16',
    );
  });

  it('tells the memory of a pass: more for more tokens and targets, less the more is recomputed', async () => {
    await using model = await Model.load(TINY, { dtype: 'bfloat16', trainable: true });
    const small = model.passMemory(10, 0);
    expect(small.available).toBeNull();
    const { none, elementwise, blocks } = small.bytes;
    expect([none, elementwise, blocks].sort((a, b) => b - a)).toEqual([none, elementwise, blocks]);
    const large = model.passMemory(1000, 500).bytes;
    for (const mode of ['none', 'elementwise', 'blocks'] as const)
      expect(large[mode]).toBeGreaterThan(model.passMemory(1000, 0).bytes[mode]);
    expect(() => model.passMemory(10, 11)).toThrow(expect.objectContaining({ code: 'ERR_GEMMATUNE_ARGUMENT' }));
    expect(() => model.passMemory(2 ** 40, 0)).toThrow('tokens is 1099511627776, expected at most 2147483647');
  });

  it('plans what a pass then takes, and recomputes from the next pass on, with the same bits', async () => {
    const ids = Int32Array.from({ length: 100 }, (_, i) => 3 + i);
    const batch = { tokens: ids, targets: Int32Array.of(...ids.subarray(1), -100), starts: Int32Array.of(0, 100) };
    const passed = async (recompute: 'none' | 'elementwise' | 'blocks', given: object) => {
      await using model = await Model.load(TINY, { dtype: 'bfloat16', trainable: true, ...given });
      if (!('recompute' in given)) model.setRecompute(recompute);
      await model.accumulate(batch);
      const gradient = await model.read('gradient', 'model.embed_tokens.weight');
      return { held: model.memory().activations, planned: model.passMemory(100, 99).bytes[recompute], gradient };
    };
    const { gradient } = await passed('none', { recompute: 'none' });
    for (const mode of ['none', 'elementwise', 'blocks'] as const)
      for (const given of [{ recompute: mode }, {}]) {
        const pass = await passed(mode, given);
        expect(pass.held / pass.planned, mode).toBeCloseTo(1, 2);
        expect(pass.gradient).toEqual(gradient);
      }
  });

  it.each(['cpu', 'emulated'] as const)('times its ops while profiling is on: %s', async (device) => {
    if (device === 'emulated' && devices(device).problem !== null) return;
    await using model = await Model.load(TINY, { device, dtype: 'bfloat16', trainable: true });
    const batch = { tokens: Int32Array.of(3, 4, 5), targets: Int32Array.of(4, 5, -100), starts: Int32Array.of(0, 3) };
    await model.accumulate(batch);
    expect(model.takeProfile()).toEqual([]);
    model.profile(true);
    await model.accumulate(batch);
    const times = model.takeProfile();
    const layers = model.config.layerTypes.length;
    expect(times.find(({ op }) => op === 'attention_backward')).toMatchObject({ calls: layers });
    expect(times.find(({ op }) => op === 'linear_cross_entropy')).toMatchObject({ calls: 1 });
    expect(times.some(({ op }) => op === 'adamw_update')).toBe(false);
    for (const { op, seconds, launches } of times) {
      expect(seconds, op).toBeGreaterThan(0);
      if (device === 'cpu') expect(launches, op).toBe(0);
      else expect(launches, op).toBeGreaterThan(0);
    }
    model.profile(false);
    await model.accumulate(batch);
    expect(model.takeProfile()).toEqual([]);
  });

  it('is asked nothing while it is busy', async () => {
    await using model = await Model.load(TINY, { trainable: true });
    const running = model.discard();
    expect(() => model.passMemory(10, 0)).toThrow(expect.objectContaining({ code: 'ERR_GEMMATUNE_BUSY' }));
    expect(() => model.setRecompute('blocks')).toThrow(expect.objectContaining({ code: 'ERR_GEMMATUNE_BUSY' }));
    await running;
    expect(() => model.setRecompute('all' as 'none')).toThrow(
      "recompute is 'all', expected one of none, elementwise, blocks",
    );
    model.setRecompute('blocks');
  });
});
