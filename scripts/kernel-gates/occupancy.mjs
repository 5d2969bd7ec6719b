// How many blocks of a kernel one multiprocessor holds, by the rules of the CUDA toolkit's cuda_occupancy.h.

const KIB = 1024;
/**
 * sharedPerBlock: with the opt-in. reserved: of every block's shared memory, for the driver.
 * @type {Record<number, { threads: number, blocks: number, shared: number, sharedPerBlock: number, unit: number, reserved: number }>}
 */
const LIMITS = {
  75: { threads: 1024, blocks: 16, shared: 64 * KIB, sharedPerBlock: 64 * KIB, unit: 256, reserved: 0 },
  80: { threads: 2048, blocks: 32, shared: 164 * KIB, sharedPerBlock: 163 * KIB, unit: 128, reserved: KIB },
  86: { threads: 1536, blocks: 16, shared: 100 * KIB, sharedPerBlock: 99 * KIB, unit: 128, reserved: KIB },
  89: { threads: 1536, blocks: 24, shared: 100 * KIB, sharedPerBlock: 99 * KIB, unit: 128, reserved: KIB },
  90: { threads: 2048, blocks: 32, shared: 228 * KIB, sharedPerBlock: 227 * KIB, unit: 128, reserved: KIB },
};
const REGISTERS = 64 * KIB;
const QUARTERS = 4; // a multiprocessor's registers lie in four parts, a warp's all in one

const roundUp = (n, unit) => Math.ceil(n / unit) * unit;

/**
 * Blocks per multiprocessor and the share of its threads that they are; 0 blocks: the kernel cannot be launched.
 * @param {number} arch one of LIMITS
 * @param {{ registers: number; threads: number; shared: number }} kernel registers of a thread, threads of a block, bytes of shared
 *   memory of a block, static and dynamic
 */
export function occupancy(arch, { registers, threads, shared }) {
  const limit = LIMITS[arch];
  const warps = Math.ceil(threads / 32);
  const registersPerWarp = roundUp(registers * 32, 256);
  const sharedPerBlock = roundUp(shared + limit.reserved, limit.unit);
  const launchable =
    threads <= 1024 &&
    registersPerWarp * roundUp(warps, QUARTERS) <= REGISTERS &&
    sharedPerBlock <= limit.sharedPerBlock + limit.reserved;
  if (!launchable) return { blocks: 0, share: 0 };
  const byThreads = Math.floor(limit.threads / 32 / warps);
  const byRegisters = Math.floor((Math.floor(REGISTERS / QUARTERS / registersPerWarp) * QUARTERS) / warps);
  const byShared = sharedPerBlock ? Math.floor(limit.shared / sharedPerBlock) : limit.blocks;
  const blocks = Math.min(limit.blocks, byThreads, byRegisters, byShared);
  return { blocks, share: (blocks * warps * 32) / limit.threads };
}
