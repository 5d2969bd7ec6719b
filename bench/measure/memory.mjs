// Memory of this process, from the kernel's own count. Mapped pages of files count while they are resident.
import { readFileSync } from 'node:fs';

/** Resident bytes now. */
export function residentBytes() {
  return process.memoryUsage.rss();
}

/**
 * Most resident bytes so far. On Linux VmHWM, which counts from this program's start; getrusage's number, used elsewhere, may hold what
 * the parent had when it started this process.
 */
export function peakResidentBytes() {
  const [, kilobytes = process.resourceUsage().maxRSS] =
    process.platform === 'linux' ? (readFileSync('/proc/self/status', 'utf8').match(/VmHWM:\s+(\d+) kB/) ?? []) : [];
  return Number(kilobytes) * 1024;
}

/**
 * What a worker's run took at most, in bytes: of this machine's memory on the CPU, of the device's on a GPU.
 * @param {{ settings: { device: string }, peakResidentBytes: number, memory: { weights: number, state: number, activations: number } }} run
 */
export function peakBytesOf({ settings, peakResidentBytes, memory }) {
  return settings.device === 'cpu' ? peakResidentBytes : memory.weights + memory.state + memory.activations;
}
