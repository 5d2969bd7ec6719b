import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { availableParallelism, cpus, freemem, homedir, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { systemInfo } from '@gemmatune/engine';
import { resolveToken } from '@gemmatune/hub';
import { command } from '../command.js';
import { megabytes } from '../model-source.js';
import { table } from '../terminal/table.js';

export const doctor = command({
  usage: '',
  options: {},
  async run(_options, context) {
    const result = {
      node: process.version,
      platform: `${process.platform}-${process.arch}, ${release()}`,
      glibc: glibc(),
      cpu: `${cpus()[0]?.model.trim() ?? 'unknown'}, ${availableParallelism()} cores for this process`,
      memory: `${megabytes(freemem())} free of ${megabytes(totalmem())}`,
      ...nativeCore(),
      hugging_face_token: await tokenSource(),
      hub_cache: await place(hubCache()),
      working_folder: await place(process.cwd()),
    };
    await context.print(
      context.json
        ? `${JSON.stringify(result)}\n`
        : `${table([['what', 'found'], ...Object.entries(result).map(([key, value]) => [key.replaceAll('_', ' '), value])])}\n`,
    );
    return undefined;
  },
});

function glibc(): string {
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return header?.glibcVersionRuntime ?? 'none (another C library, or not Linux)';
}

/** What the addon was built with and would use, or why it cannot be loaded. */
function nativeCore(): Record<string, string> {
  let info: ReturnType<typeof systemInfo>;
  try {
    info = systemInfo();
  } catch (error) {
    return { native_core: `cannot be loaded: ${(error as Error).message}` };
  }
  const { instructionSet, cores, fastBfloat16, backends } = info;
  return {
    native_core: `loaded, ${cores} threads, kernels for ${instructionSet}`,
    dtype: fastBfloat16 ? 'bfloat16 (multiplied in hardware)' : 'float32 (this CPU has no bfloat16 instructions)',
    backends: backends.join(', '),
    cuda: backends.includes('cuda') ? 'built in' : `not used: this build has no cuda backend; ${driver()}`,
  };
}

function driver(): string {
  return existsSync('/proc/driver/nvidia/version') ? 'an NVIDIA driver is there' : 'no NVIDIA driver is there either';
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

function hubCache(): string {
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME } = process.env;
  const home = HF_HOME ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface');
  return HF_HUB_CACHE ?? HUGGINGFACE_HUB_CACHE ?? join(home, 'hub');
}

async function place(folder: string): Promise<string> {
  for (let at = folder; ; at = join(at, '..')) {
    const disk = await statfs(at).catch(() => undefined);
    if (disk) return `${folder}${at === folder ? '' : ' (not there yet)'}, ${megabytes(disk.bavail * disk.bsize)} free`;
    if (at === join(at, '..')) return `${folder} (its disk cannot be read)`;
  }
}
