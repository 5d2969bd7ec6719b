import { statfs } from 'node:fs/promises';
import { availableParallelism, cpus, freemem, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { counted } from '@gemmatune/base';
import { type DeviceDescription, devices, systemInfo } from '@gemmatune/engine';
import { hubCacheDir, resolveToken } from '@gemmatune/hub';
import { describeGpu, megabytes } from '@gemmatune/run';
import { command } from '../command.js';
import { table } from '../terminal/table.js';

export const doctor = command({
  usage: '',
  options: {},
  async run(_options, context) {
    const machine = {
      node: process.version,
      platform: `${process.platform}-${process.arch}, ${release()}`,
      glibc: glibc(),
      cpu: `${cpus()[0]?.model.trim() ?? 'unknown'}, ${counted(availableParallelism(), 'core')} for this process`,
      memory: `${megabytes(freemem())} free of ${megabytes(totalmem())}`,
    };
    const { core, gpus } = nativeCore();
    const places = {
      hugging_face_token: await tokenSource(),
      hub_cache: await place(hubCacheDir()),
      working_folder: await place(process.cwd()),
    };
    if (context.json) await context.print(`${JSON.stringify({ ...machine, ...core, devices: gpus, ...places })}\n`);
    else {
      const found = Object.fromEntries(gpus.map((gpu) => [gpu.device, gpuText(gpu)]));
      const lines = Object.entries({ ...machine, ...core, ...found, ...places });
      const rows = lines.map(([key, value]) => [key.replaceAll('_', ' '), value]);
      await context.print(`${table([['what', 'found'], ...rows], context.stdout.columns)}\n`);
    }
    return undefined;
  },
});

function glibc(): string {
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return header?.glibcVersionRuntime ?? 'none (another C library, or not Linux)';
}

/** What the addon was built with and would use, and the devices it finds or why there is none. */
function nativeCore(): { core: Record<string, string>; gpus: DeviceDescription[] } {
  let info: ReturnType<typeof systemInfo>;
  try {
    info = systemInfo();
  } catch (error) {
    return { core: { native_core: `cannot be loaded: ${(error as Error).message}` }, gpus: [] };
  }
  const { instructionSet, cores, fastBfloat16, backends } = info;
  const cuda = devices('cuda');
  const emulated = backends.includes('emulated') ? devices('emulated').devices : [];
  const core = {
    native_core: `loaded, ${counted(cores, 'thread')}, kernels for ${instructionSet}`,
    dtype: fastBfloat16 ? 'bfloat16 (multiplied in hardware)' : 'float32 (this CPU has no bfloat16 instructions)',
    backends: backends.join(', '),
    cuda: [
      ...(cuda.devices.length > 0 ? [`${cuda.devices.length} found`] : []),
      ...(cuda.problem === null ? [] : [cuda.problem]),
    ].join('; '),
  };
  return { core, gpus: [...cuda.devices, ...emulated] };
}

function gpuText(gpu: DeviceDescription): string {
  const memory = `${megabytes(gpu.free)} free of ${megabytes(gpu.memory)}`;
  const what = gpu.driver === null ? 'for tests' : `driver for CUDA ${gpu.driver}, this build has ${gpu.runtime}`;
  return `${describeGpu(gpu)}, ${memory}, ${what}`;
}

/** Where the token comes from. The token itself is never shown. */
async function tokenSource(): Promise<string> {
  try {
    const { token, source } = await resolveToken();
    return token === undefined ? source : `found in ${source}`;
  } catch (error) {
    return (error as Error).message;
  }
}

async function place(folder: string): Promise<string> {
  for (let at = folder; ; at = join(at, '..')) {
    const disk = await statfs(at).catch(() => undefined);
    if (disk) return `${folder}${at === folder ? '' : ' (not there yet)'}, ${megabytes(disk.bavail * disk.bsize)} free`;
    if (at === join(at, '..')) return `${folder} (its disk cannot be read)`;
  }
}
