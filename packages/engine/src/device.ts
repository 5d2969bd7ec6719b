import type { DeviceName } from './addon.js';
import { rethrow } from './errors.js';
import { native } from './native.js';

export type GpuName = Exclude<DeviceName, 'cpu'>;
/** Where to compute, as people write it: `cuda` is `cuda:0`. */
export type DeviceSpec = DeviceName | `${GpuName}:${number}`;

/** @returns undefined where `spec` names no device */
export function parseDevice(spec: string): { device: DeviceName; index: number } | undefined {
  if (spec === 'cpu') return { device: 'cpu', index: 0 };
  const [, device, index = '0'] = /^(cuda|emulated)(?::(\d{1,4}))?$/.exec(spec) ?? [];
  return device === undefined ? undefined : { device: device as GpuName, index: Number(index) };
}

/** A GPU, or an emulated one. */
export interface DeviceDescription {
  /** As options take it: `cuda:0`. */
  device: DeviceSpec;
  name: string;
  /** CUDA's compute capability: `7.5` is Turing. */
  computeCapability: string;
  /** The kernels used there: `sm75` multiplies through scaled fp16, `sm80` in bfloat16. */
  path: 'sm75' | 'sm80';
  multiprocessors: number;
  /** Bytes. */
  memory: number;
  free: number;
  /** The newest CUDA version that the driver runs, and the version this build is of: `12.4`; null where it is emulated. */
  driver: string | null;
  runtime: string | null;
}

/** The devices of a kind that can be used. `problem` says why there is none (no driver, one too old, a build without CUDA), or what is wrong with the first that cannot be used. */
export function devices(kind: GpuName): { devices: DeviceDescription[]; problem: string | null } {
  const { devices: found, problem } = rethrow(() => native().devices(kind));
  return {
    problem,
    devices: found.map(({ capability, path, driver, runtime, index, ...device }) => ({
      device: `${kind}:${index}`,
      ...device,
      computeCapability: `${Math.floor(capability / 10)}.${capability % 10}`,
      path: path >= 800 ? 'sm80' : 'sm75',
      driver: cudaVersion(driver),
      runtime: cudaVersion(runtime),
    })),
  };
}

/** How many devices of a kind the driver shows; opens none of them, unlike `devices`. */
export function countDevices(kind: GpuName): number {
  return rethrow(() => native().deviceCount(kind));
}

const cudaVersion = (number: number): string | null =>
  number === 0 ? null : `${Math.floor(number / 1000)}.${Math.floor((number % 1000) / 10)}`;
