const U64 = (1n << 64n) - 1n;
const U128 = (1n << 128n) - 1n;

/**
 * The order of `datasets.Dataset.shuffle(seed)`: `numpy.random.default_rng(seed).permutation(n)`.
 * Source: numpy/random/_generator.pyx (`_shuffle_raw`), src/distributions/distributions.c (`random_interval`, masked rejection).
 * @param n rows, below 2^32
 * @param seed integer of at least 0
 * @returns order[i] = index of the row that comes i-th
 */
export function numpyPermutation(n: number, seed: number): Uint32Array {
  const order = identity(n);
  const next = pcg64(seed);
  for (let i = n - 1; i > 0; i--) {
    // Smallest 2^k - 1 that covers i; draws above i are thrown away.
    const mask = 0xffffffff >>> Math.clz32(i);
    let j = (next() & mask) >>> 0;
    while (j > i) j = (next() & mask) >>> 0;
    swap(order, i, j);
  }
  return order;
}

/**
 * `torch.randperm(n, generator=Generator().manual_seed(seed))` on the CPU: the order of a Trainer's epoch e is that of seed + e.
 * Source: aten/src/ATen/native/TensorFactories.cpp (`randperm_cpu`), aten/src/ATen/core/MT19937RNGEngine.h.
 * @param n rows, below 2^32 / 20
 * @param seed integer of at least 0, of which the low 32 bits count
 */
export function torchRandperm(n: number, seed: number): Uint32Array {
  const order = identity(n);
  const next = mt19937(seed);
  for (let i = 0; i < n - 1; i++) swap(order, i, i + (next() % (n - i)));
  return order;
}

function identity(n: number): Uint32Array {
  return Uint32Array.from({ length: n }, (_, i) => i);
}

function swap(order: Uint32Array, i: number, j: number): void {
  const kept = order[i]!;
  order[i] = order[j]!;
  order[j] = kept;
}

/** NumPy's SeedSequence: four 64-bit words from a seed. Source: numpy/random/bit_generator.pyx. */
function seedSequence(seed: number): bigint[] {
  const words: number[] = [];
  for (let rest = BigInt(seed); rest > 0n || words.length === 0; rest >>= 32n) words.push(Number(rest & 0xffffffffn));

  let hash = 0x43b0d7e5;
  const hashmix = (word: number): number => {
    let v = (word ^ hash) >>> 0;
    hash = Math.imul(hash, 0x931e8875) >>> 0;
    v = Math.imul(v, hash) >>> 0;
    return (v ^ (v >>> 16)) >>> 0;
  };
  const mix = (x: number, y: number): number => {
    const r = (Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y)) >>> 0;
    return (r ^ (r >>> 16)) >>> 0;
  };
  // Seeds are doubles, so there are at most two words and never more than the pool's four.
  const pool = [0, 1, 2, 3].map((i) => hashmix(words[i] ?? 0));
  for (let src = 0; src < 4; src++) {
    for (let dst = 0; dst < 4; dst++) {
      if (src !== dst) pool[dst] = mix(pool[dst]!, hashmix(pool[src]!));
    }
  }

  let g = 0x8b51f9dd;
  const state = Array.from({ length: 8 }, (_, i) => {
    let v = (pool[i % 4]! ^ g) >>> 0;
    g = Math.imul(g, 0x58f38ded) >>> 0;
    v = Math.imul(v, g) >>> 0;
    return BigInt((v ^ (v >>> 16)) >>> 0);
  });
  return [0, 2, 4, 6].map((i) => state[i]! | (state[i + 1]! << 32n));
}

/** PCG64 (XSL-RR 128/64): a stream of 32-bit draws, each 64-bit word low half first. Source: numpy/random/src/pcg64. */
function pcg64(seed: number): () => number {
  const [s0, s1, s2, s3] = seedSequence(seed) as [bigint, bigint, bigint, bigint];
  const increment = ((((s2 << 64n) | s3) << 1n) | 1n) & U128;
  let state = 0n;
  const step = () => {
    state = (state * 0x2360ed051fc65da44385df649fccf645n + increment) & U128;
  };
  step();
  state = (state + ((s0 << 64n) | s1)) & U128;
  step();

  let high: number | null = null;
  return () => {
    if (high !== null) {
      const draw = high;
      high = null;
      return draw;
    }
    step();
    const folded = (state >> 64n) ^ (state & U64);
    const rotation = state >> 122n;
    const word = ((folded >> rotation) | (folded << (64n - rotation))) & U64;
    high = Number(word >> 32n);
    return Number(word & 0xffffffffn);
  };
}

/** The Mersenne Twister, seeded as by init_genrand: a stream of 32-bit draws. */
function mt19937(seed: number): () => number {
  const N = 624;
  const s = new Uint32Array(N);
  s[0] = Number(BigInt(seed) & 0xffffffffn);
  for (let i = 1; i < N; i++) s[i] = Math.imul(1812433253, s[i - 1]! ^ (s[i - 1]! >>> 30)) + i;
  const twist = () => {
    for (let i = 0; i < N; i++) {
      const y = (s[i]! & 0x80000000) | (s[(i + 1) % N]! & 0x7fffffff);
      s[i] = s[(i + 397) % N]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
  };
  let at = N;
  return () => {
    if (at === N) {
      twist();
      at = 0;
    }
    let y = s[at++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}
