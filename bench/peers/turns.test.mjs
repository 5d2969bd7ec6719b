import { describe, expect, it } from 'vitest';
import { inTurns } from './turns.mjs';

/** Sides that note when they run; a side fails in the rounds given for it. */
function scene(/** @type {Record<string, number[]>} */ failures = {}) {
  /** @type {string[]} */
  const order = [];
  /** @type {string[]} */
  const failed = [];
  const side = (/** @type {string} */ name) => async () => {
    order.push(name);
    if (failures[name]?.includes(order.filter((each) => each === name).length)) throw new Error('out of memory');
    return { name };
  };
  const sides = { ours: side('ours'), a: side('a'), b: side('b') };
  const hooks = { enough: () => false, failed: (/** @type {string} */ name) => failed.push(name), done: () => {} };
  return { order, failed, sides, hooks };
}

describe('inTurns', () => {
  it('alternates', async () => {
    const { order, sides, hooks } = scene();
    const runs = await inTurns(2, sides, hooks);
    expect(order).toEqual(['ours', 'a', 'b', 'ours', 'a', 'b']);
    expect(Object.values(runs).map((all) => all.length)).toEqual([2, 2, 2]);
  });

  it('goes on without a side that fails', async () => {
    const { order, failed, sides, hooks } = scene({ a: [1] });
    const runs = await inTurns(2, sides, hooks);
    expect(order).toEqual(['ours', 'a', 'b', 'ours', 'b']);
    expect(failed).toEqual(['a']);
    expect(Object.keys(runs)).toEqual(['ours', 'b']);
  });

  it('ends where ours fails, or where there is nobody left to compare with', async () => {
    const ours = scene({ ours: [1] });
    expect(await inTurns(2, ours.sides, ours.hooks)).toEqual({});
    const alone = scene({ a: [1], b: [1] });
    await inTurns(3, alone.sides, alone.hooks);
    expect(alone.order).toEqual(['ours', 'a', 'b']);
  });

  it('begins no round once there is enough', async () => {
    const { order, sides, hooks } = scene();
    await inTurns(3, sides, { ...hooks, enough: () => order.length >= 3 });
    expect(order).toHaveLength(3);
  });
});
