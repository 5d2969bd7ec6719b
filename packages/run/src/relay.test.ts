import { describe, expect, it } from 'vitest';
import { relayed } from './relay.js';

const after = (ms: number) => new Promise((go) => setTimeout(go, ms));

async function all<E, T>(events: AsyncGenerator<E, T, undefined>): Promise<{ told: E[]; result: T }> {
  const told: E[] = [];
  for (;;) {
    const next = await events.next();
    if (next.done) return { told, result: next.value };
    told.push(next.value);
  }
}

describe('relayed', () => {
  it('yields what is put, in order, and gives the result', async () => {
    const events = relayed<number, string>(new AbortController(), async (put) => {
      put(1);
      await after(5);
      put(2);
      put(3);
      return 'done';
    });
    expect(await all(events)).toEqual({ told: [1, 2, 3], result: 'done' });
  });

  it('throws what the work throws, when all that it put is told', async () => {
    const events = relayed<number, never>(new AbortController(), async (put) => {
      put(1);
      throw new Error('no');
    });
    expect((await events.next()).value).toBe(1);
    await expect(events.next()).rejects.toThrow('no');
  });

  it('stops the work of a consumer that leaves, and waits for its end', async () => {
    const stop = new AbortController();
    let ended = false;
    const events = relayed<number, void>(stop, async (put) => {
      for (let i = 0; !stop.signal.aborted; i++) {
        put(i);
        await after(1);
      }
      await after(10);
      ended = true;
      throw stop.signal.reason;
    });
    for await (const event of events) if (event === 3) break;
    expect(ended).toBe(true);
  });
});
