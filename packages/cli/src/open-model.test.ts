import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { gemmatune, TINY } from './program.case.js';

type Engine = typeof import('@gemmatune/engine');
/** What the machine has; the CPU computes whatever is asked for. */
const machine = vi.hoisted(() => ({ backends: ['cpu', 'cuda'], problem: null as string | null }));
const T4 = {
  device: 'cuda:0',
  name: 'Tesla T4',
  computeCapability: '7.5',
  path: 'sm75',
  multiprocessors: 40,
  memory: 15_835_660_288,
  free: 15_728_640_000,
  driver: '12.4',
  runtime: '13.0',
} as const;
vi.mock('@gemmatune/engine', async (original) => {
  const engine = await original<Engine>();
  return {
    ...engine,
    systemInfo: () => ({ ...engine.systemInfo(), backends: machine.backends }),
    countDevices: () => (machine.problem === null && machine.backends.includes('cuda') ? 1 : 0),
    devices: () => ({ devices: machine.problem === null ? [T4] : [], problem: machine.problem }),
  } as Engine;
});
beforeEach(() => {
  machine.backends = ['cpu', 'cuda'];
  machine.problem = null;
});

describe('a call that names no device', () => {
  const score = (...more: string[]) =>
    gemmatune(['score', '--model', TINY, ...more], { input: '{"input_ids":[2,5,6]}\n' });
  const hint = 'There is a GPU here: --device cuda computes on it.\n';

  it('computes on the CPU, says so, and tells of a GPU that could be used', async () => {
    const { status, stderr } = await score();
    expect(status).toBe(0);
    expect(stderr).toMatch(/^Using cpu \(.*, \d+ cores\), (bfloat16|float32) \(this CPU .*\)\.\n/);
    expect(stderr).toContain(hint);
  });

  it('is not told of one that this build or this machine cannot use', async () => {
    machine.problem = 'the NVIDIA driver is too old';
    expect((await score()).stderr).not.toContain('GPU');
    machine.problem = null;
    machine.backends = ['cpu', 'emulated'];
    expect((await score()).stderr).not.toContain('GPU');
  });

  it('hears nothing where it named one', async () => {
    expect((await score('--device', 'cpu', '--dtype', 'float32')).stderr).toBe('');
    expect((await score('--device', 'cpu')).stderr).toMatch(/^Using cpu /);
    expect((await score('--device', 'cpu')).stderr).not.toContain('GPU');
  });
});

it('finetune asks for the device before it touches anything', async () => {
  machine.problem = 'the NVIDIA driver is too old';
  const folder = join(tmpdir(), 'gemmatune-no-device');
  const words = ['--model', 'none/such', '--train', 'none.jsonl', '--output-dir', folder, '--device', 'cuda'];
  const { status, stderr } = await gemmatune(['finetune', ...words]);
  expect(stderr).toBe('gemmatune finetune: the NVIDIA driver is too old\n');
  expect(status).toBe(2);
  expect(existsSync(folder)).toBe(false);
});

describe('doctor', () => {
  it('lists devices, for people and for programs', async () => {
    const { stdout } = await gemmatune(['doctor']);
    expect(stdout).toMatch(/^cuda +1 found$/m);
    expect(stdout).toMatch(
      /^cuda:0 +Tesla T4, compute capability 7\.5, kernels sm75, 15\.73 GB free of 15\.84 GB, driver for CUDA 12\.4, this build has 13\.0$/m,
    );
    const json = JSON.parse((await gemmatune(['doctor', '--json'])).stdout);
    expect(json.devices).toEqual([T4]);
  });

  it('says exactly why there is none', async () => {
    machine.problem = 'there is no NVIDIA driver on this machine: libcuda.so.1 was not found';
    const json = JSON.parse((await gemmatune(['doctor', '--json'])).stdout);
    expect(json).toMatchObject({ cuda: machine.problem, devices: [] });
    expect((await gemmatune(['doctor'])).stdout).toMatch(/^cuda +there is no NVIDIA driver on this machine: libcuda/m);
  });
});
