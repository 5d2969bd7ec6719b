/**
 * Runs `work`, and yields what it puts meanwhile, in order.
 * @param stop aborted where the consumer leaves early; it is let go when the work has ended
 * @returns what the work gives
 */
export async function* relayed<E, T>(
  stop: AbortController,
  work: (put: (event: E) => void) => Promise<T>,
): AsyncGenerator<E, T, undefined> {
  const waiting: E[] = [];
  let done = false;
  let wake = (): void => {};
  const running = work((event) => {
    waiting.push(event);
    wake();
  }).finally(() => {
    done = true;
    wake();
  });
  running.catch(() => {}); // it is awaited below, when all that it put is told
  try {
    for (;;) {
      while (waiting.length > 0) yield waiting.shift()!;
      if (done) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    if (!done) {
      stop.abort();
      await running.catch(() => {});
    }
  }
  return running;
}
