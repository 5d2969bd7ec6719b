/** Ranks within one process, for tests: each a promise of its own, that meet in gather. */
import type { Ranks } from './together.js';

export function ranksOf(size: number): Ranks[] {
  let arrived: { what: string; bytes: (Uint8Array | undefined)[]; all: PromiseWithResolvers | undefined } | undefined;
  return Array.from({ length: size }, (_, rank) => ({
    rank,
    size,
    gather(what, mine) {
      arrived ??= { what, bytes: new Array(size).fill(undefined), all: undefined };
      const now = arrived;
      if (now.what !== what || now.bytes[rank] !== undefined)
        throw new Error(`rank ${rank} calls ${what} while others are at ${now.what}`);
      now.all ??= withResolvers();
      now.bytes[rank] = mine;
      if (now.bytes.every((bytes) => bytes !== undefined)) {
        arrived = undefined;
        now.all.resolve(now.bytes as Uint8Array[]);
      }
      return now.all.promise;
    },
  }));
}

interface PromiseWithResolvers {
  promise: Promise<Uint8Array[]>;
  resolve: (all: Uint8Array[]) => void;
}

function withResolvers(): PromiseWithResolvers {
  let resolve!: PromiseWithResolvers['resolve'];
  const promise = new Promise<Uint8Array[]>((go) => {
    resolve = go;
  });
  return { promise, resolve };
}
