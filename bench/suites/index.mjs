// Every suite, in the order in which `pnpm bench` alone runs them. Each is loaded when it is called. `seconds`: what its short version may
// take on two cores.
export const SUITES = {
  kernels: { seconds: 60, load: async () => (await import('./kernels.mjs')).kernels },
  train: { seconds: 120, load: async () => (await import('./train.mjs')).train },
  decode: { seconds: 60, load: async () => (await import('./decode.mjs')).decode },
  pipeline: { seconds: 40, load: async () => (await import('./pipeline.mjs')).pipeline },
  scaling: { seconds: 50, load: async () => (await import('./scaling.mjs')).scaling },
  ranks: { seconds: 60, load: async () => (await import('./ranks.mjs')).ranks },
  tune: { seconds: 60, load: async () => (await import('./tune.mjs')).tune },
  peers: { seconds: 120, load: async () => (await import('./peers.mjs')).peers },
  roofline: { seconds: 5, load: async () => (await import('./roofline.mjs')).roofline },
};

/** Reads results instead of measuring. */
export const REPORT = { load: () => import('./report.mjs') };
