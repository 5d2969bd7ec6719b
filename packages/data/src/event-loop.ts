/** Long loops give the event loop a turn after this many milliseconds. */
const SLICE_MS = 20;

/**
 * For long loops in async functions: `await turn()` once per iteration returns at once until a slice of work is done, and then after
 * timers and I/O had their turn.
 */
export function eventLoopTurns(): () => Promise<void> | undefined {
  let sliceEnd = performance.now() + SLICE_MS;
  return () => {
    if (performance.now() < sliceEnd) return undefined;
    return new Promise((resolve) => {
      setImmediate(() => {
        sliceEnd = performance.now() + SLICE_MS;
        resolve();
      });
    });
  };
}
