// Memory of this process, from the kernel's own count. Mapped pages of files count while they are resident.
import { readFileSync } from 'node:fs';

const statusField = (field) =>
  Number(readFileSync('/proc/self/status', 'utf8').match(new RegExp(`${field}:\\s+(\\d+) kB`))[1]) * 1024;

/** Resident bytes now. */
export function residentBytes() {
  return process.memoryUsage.rss();
}

/**
 * Most resident bytes so far. On Linux VmHWM, which counts from this program's start; getrusage's number, used elsewhere, may hold what
 * the parent had when it started this process.
 */
export function peakResidentBytes() {
  return process.platform === 'linux' ? statusField('VmHWM') : process.resourceUsage().maxRSS * 1024;
}

/**
 * What a worker's run took at most, in bytes: of this machine's memory on the CPU, of the device's on a GPU.
 * @param {{ settings: { device: string }, peakResidentBytes: number, memory: { weights: number, state: number, activations: number } }} run
 */
export function peakBytesOf({ settings, peakResidentBytes, memory }) {
  return settings.device === 'cpu' ? peakResidentBytes : memory.weights + memory.state + memory.activations;
}
