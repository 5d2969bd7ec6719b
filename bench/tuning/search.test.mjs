/** @import { Setting } from './axes.mjs' */
/** @import { Trial } from './tried.mjs' */
import { describe, expect, it } from 'vitest';
import { spaceOf } from './axes.mjs';
import { search } from './search.mjs';
import { peakOf, speedOf } from './tried.mjs';

const place = { device: 'cpu', cores: 4, instructionSet: 'avx512+avx512-bf16', fastBfloat16: true, path: undefined };
const { start, axes } = spaceOf(place, { batch: 2, sequences: 8, tokens: 2200 });

/**
 * A machine on which a trial takes ten seconds at 100 tokens/s, and less where it is faster.
 * @param {(setting: Setting, round: number) => Partial<Trial>} of tokensPerSecond, and whatever else is not as usual
 * @param {{ seconds?: number, abortAt?: number, memory?: number }} [options]
 */
function machine(of, { seconds = 1e6, abortAt = Number.POSITIVE_INFINITY, ...request } = {}) {
  const controller = new AbortController();
  const clock = { now: 0 };
  /** @type {Setting[]} */
  const order = [];
  /** @type {Map<string, number>} */
  const rounds = new Map();
  /** @param {Setting} setting @param {number} limitSeconds @returns {Promise<Trial>} */
  const measure = async (setting, limitSeconds) => {
    order.push(setting);
    if (order.length === abortAt) controller.abort(new Error('interrupted'));
    const key = JSON.stringify(setting);
    const round = (rounds.get(key) ?? 0) + 1;
    rounds.set(key, round);
    const usual = { tokensPerSecond: null, stepSeconds: null, peakBytes: 5e9, busy: 1, losses: [12, 11] };
    const trial = { ...usual, ...of(setting, round) };
    const took = 1000 / (trial.tokensPerSecond ?? 100);
    clock.now += Math.min(took, limitSeconds);
    if (took > limitSeconds)
      return { ...trial, tokensPerSecond: null, losses: [], seconds: limitSeconds, ended: true, problem: 'ended' };
    return { ...trial, seconds: took };
  };
  /** @type {Setting[]} */
  const bests = [];
  /** @type {[setting: Setting, verdict: string][]} */
  const judged = [];
  const run = () =>
    search({
      ...{ start, axes, measure, signal: controller.signal, left: () => seconds - clock.now },
      onBest: async ({ setting }) => void bests.push(setting),
      onTried: ({ setting, verdict }) => judged.push([setting, verdict]),
      ...request,
    });
  return { run, order, bests, judged, clock };
}

describe('search', () => {
  it('starts from the defaults and stays there where nothing wins, trying the same settings in the same order', async () => {
    const one = machine(() => ({ tokensPerSecond: 100 }));
    const outcome = await one.run();
    expect(outcome).toMatchObject({ best: { setting: start, verdict: 'where it starts' }, ended: 'settled' });
    expect(one.bests).toEqual([start]);
    const other = machine(() => ({ tokensPerSecond: 100 }));
    await other.run();
    expect(other.order).toEqual(one.order);
  });

  it('moves along several axes to what is faster, and comes back to an axis once others have moved', async () => {
    const speed = (/** @type {Setting} */ { threads, batch, recompute }) =>
      50 + 10 * threads + 5 * batch - (recompute === start.recompute ? 0 : 20);
    const { run, bests } = machine((setting) => ({ tokensPerSecond: speed(setting) }));
    const { best } = await run();
    expect(best.setting).toEqual({ ...start, batch: 8 });
    expect(bests).toEqual([start, { ...start, batch: 4 }, { ...start, batch: 8 }]);
    expect(best.verdict).toMatch(/^better: \+[\d.]+ % ± 0\.0 % in 2 rounds$/);
  });

  it('leaves out what lies behind a setting that is clearly slower', async () => {
    const { run } = machine(({ threads }) => ({ tokensPerSecond: threads === 2 ? 50 : 100 }));
    const { tried } = await run();
    expect(tried.map(({ setting }) => setting.threads)).not.toContain(1);
    expect(tried.find(({ setting }) => setting.threads === 2)?.verdict).toBe('slower');
  });

  it('does not take noise for a gain: rounds in turns must win by more than their spread', async () => {
    const noise = [1.04, 0.97, 1.03, 1.02];
    const { run, order } = machine(({ batch }, round) => ({
      tokensPerSecond: batch === 4 ? 100 * noise[round - 1] : 100,
    }));
    const { best, tried } = await run();
    expect(best.setting).toEqual(start);
    const candidate = tried.find(({ setting }) => setting.batch === 4);
    expect(candidate?.rounds.length).toBeGreaterThan(2);
    expect(candidate?.verdict).toMatch(/^(within noise|not faster): /);
    const turns = order.map(({ batch }) => batch).join('');
    expect(turns).toContain('42424'); // a look, then the best and it in turns
  });

  it('asks for a third round where two that win do not agree', async () => {
    const lucky = [1.2, 1.04, 1.3, 0.9, 1, 1];
    const { run } = machine(({ batch }, round) => ({ tokensPerSecond: batch === 4 ? 100 * lucky[round - 1] : 100 }));
    const { best, tried } = await run();
    expect(best.setting).toEqual(start);
    const candidate = tried.find(({ setting }) => setting.batch === 4);
    expect(candidate?.rounds).toHaveLength(6); // a look, and all the rounds there may be
  });

  it('takes a small gain that every round confirms', async () => {
    const { run } = machine(({ batch }) => ({ tokensPerSecond: batch === 4 ? 103 : 100 }));
    expect((await run()).best.setting).toEqual({ ...start, batch: 4 });
  });

  it('looks again where other programs held the first look up', async () => {
    const { run } = machine(({ batch }, round) =>
      batch === 4
        ? round === 1
          ? { tokensPerSecond: 60, busy: 0.5 }
          : { tokensPerSecond: 120 }
        : { tokensPerSecond: 100 },
    );
    expect((await run()).best.setting).toEqual({ ...start, batch: 4 });
  });

  it('never takes a setting whose losses are not those of the same rows in the same type', async () => {
    const { run } = machine(({ batch, dtype }) => ({
      tokensPerSecond: batch === 4 ? 200 : dtype === 'float32' ? 150 : 100,
      losses: batch === 4 ? [12, 11.1] : dtype === 'float32' ? [12.1, 11.2] : [12.001, 11],
    }));
    const { best, tried } = await run();
    expect(best.setting).toEqual({ ...start, dtype: 'float32' });
    for (const each of tried.filter(({ setting }) => setting.batch === 4)) {
      expect(each.verdict).toMatch(/^broken: its losses 12\.0000, 11\.1000 differ from .* on the same rows$/);
      expect(speedOf(each)).toBeNull();
    }
  });

  it.each([
    ['not finite', [12, Number.NaN]],
    ['too few', [12]],
  ])('takes losses that are %s for broken', async (_what, losses) => {
    const { run } = machine(({ batch }) => (batch === 4 ? { tokensPerSecond: 200, losses } : { tokensPerSecond: 100 }));
    expect((await run()).best.setting).toEqual(start);
  });

  it('keeps to the memory, and starts by getting below it', async () => {
    const bytes = { none: 8e9, elementwise: 6e9, blocks: 2e9 };
    const of = (/** @type {Setting} */ { batch, recompute }) => ({
      tokensPerSecond: 100 + 5 * batch,
      peakBytes: bytes[recompute] + batch * 3e8,
    });
    const found = async (/** @type {number} */ memory) => {
      const { best } = await machine(of, { memory }).run();
      expect(peakOf(best)).toBeLessThanOrEqual(memory);
      return best.setting;
    };
    expect(await found(8e9)).toEqual({ ...start, batch: 4 });
    // First batch 1, then what lets it fit, then as large a batch as fits again.
    expect(await found(5e9)).toEqual({ ...start, batch: 8, recompute: 'blocks' });
    expect(await found(3.2e9)).toEqual({ ...start, batch: 4, recompute: 'blocks' });
  });

  it('ends trials that are far slower', async () => {
    const { run } = machine(({ threads }) => ({ tokensPerSecond: threads === 2 ? 1 : 100 }));
    const { tried } = await run();
    const slow = tried.find(({ setting }) => setting.threads === 2);
    expect(slow).toMatchObject({ verdict: 'ended', rounds: [{ seconds: 25 }] });
  });

  it('keeps to its time, and tells that it was over', async () => {
    const { run, clock } = machine(({ batch }) => ({ tokensPerSecond: 100 + batch }), { seconds: 65 });
    expect(await run()).toMatchObject({ ended: 'time' });
    expect(clock.now).toBeLessThanOrEqual(65);
  });

  it('ends with the best so far when it is interrupted', async () => {
    const { run, bests } = machine(({ batch }) => ({ tokensPerSecond: 100 + 5 * batch }), { abortAt: 9 });
    const { best, ended } = await run();
    expect(ended).toBe('interrupted');
    expect(best.setting).toEqual(bests.at(-1));
    expect(best.setting).toEqual({ ...start, batch: 4 });
  });

  it('says why the start cannot be measured', async () => {
    const { run } = machine(() => ({ tokensPerSecond: null, problem: 'there is no such device' }));
    await expect(run()).rejects.toThrow('the settings to start from cannot be measured: there is no such device');
  });
});
