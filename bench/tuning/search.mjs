// Coordinate descent over settings, with measurements that are noisy: one axis at a time, and a setting replaces the one before only where
// it wins by more than the spread of rounds that both ran in turns.
import { afterRounds, atFirstLook, CLEARLY_SLOWER, isSettled, lossProblem, MOST_ROUNDS } from './judge.mjs';
import { isMeasured, latest, peakOf } from './tried.mjs';

/**
 * @typedef {import('./axes.mjs').Setting} Setting
 * @typedef {import('./tried.mjs').Tried} Tried
 *
 * @typedef {object} Request
 * @property {Setting} start
 * @property {import('./axes.mjs').Axis[]} axes
 * @property {(setting: Setting, limitSeconds: number) => Promise<import('./tried.mjs').Trial>} measure a trial that is ended after
 *   `limitSeconds`
 * @property {() => number} left seconds that are left for trials
 * @property {number} [memory] bytes that a setting may take at most
 * @property {AbortSignal} [signal]
 * @property {(tried: Tried, best: Tried) => void} [onTried] hears each setting once it is judged
 * @property {(best: Tried) => Promise<void>} [onBest] hears of the start, and of whatever replaces the best so far
 *
 * @typedef {object} Outcome
 * @property {Tried} best
 * @property {Tried[]} tried in the order of their first trials
 * @property {'settled' | 'time' | 'interrupted'} ended settled: no axis had anything better
 */

/** With time for fewer trials than this the start is measured once, and its spread taken to be half of what is clearly slower. */
const WORTH_A_SPREAD = 6;
/** Trials that take so many times what the best so far takes are ended: they have lost. */
const PATIENCE = 2.5;
/** Threads that ran for less than this share of what they ran for the best so far were kept from it by other programs: look again. */
const DISTURBED = 0.8;

/**
 * @param {Request} request
 * @returns {Promise<Outcome>}
 * @throws Error where the start itself cannot be measured
 */
export async function search(request) {
  const descent = new Descent(request);
  await descent.begin();
  for (let moved = true; moved && descent.ended === 'settled'; ) {
    moved = false;
    for (const axis of request.axes) if (descent.ended === 'settled') moved = (await descent.along(axis)) || moved;
  }
  return { best: descent.best, tried: [...descent.book.values()], ended: descent.ended };
}

class Descent {
  /** @type {Map<string, Tried>} */
  book = new Map();
  /** @type {Outcome['ended']} */
  ended = 'settled';
  /** @type {Map<Setting['dtype'], number[]>} of the first trial in each */
  #losses = new Map();
  #spread = CLEARLY_SLOWER / 2;
  #request;
  #memory;

  /** @param {Request} request */
  constructor(request) {
    this.#request = request;
    this.#memory = request.memory ?? Number.POSITIVE_INFINITY;
    this.best = this.#enter(request.start);
  }

  /** The start's own trials. */
  async begin() {
    const { signal, left, onTried, onBest } = this.#request;
    const first = await this.#trial(this.best, Number.POSITIVE_INFINITY);
    signal?.throwIfAborted();
    if (!isMeasured(first)) throw new Error(`the settings to start from cannot be measured: ${first.problem}`);
    await onBest?.(this.best);
    if (this.#mayGoOn() && left() > WORTH_A_SPREAD * first.seconds) {
      const second = await this.#trial(this.best, PATIENCE * first.seconds);
      if (isMeasured(second)) this.#spread = Math.abs(second.tokensPerSecond / first.tokensPerSecond - 1);
    }
    const isTooLarge = (peakOf(this.best) ?? 0) > this.#memory;
    this.best.verdict = isTooLarge ? 'where it starts; takes too much memory' : 'where it starts';
    onTried?.(this.best, this.best);
  }

  /** @param {import('./axes.mjs').Axis} axis @returns whether there was something better */
  async along(axis) {
    const before = this.best;
    for (const direction of axis.directions(this.best.setting))
      for (const value of direction) {
        const setting = { ...this.best.setting, [axis.name]: value };
        if (this.book.has(keyOf(setting))) continue;
        if (!this.#mayGoOn()) return this.best !== before;
        const outcome = await this.#try(setting);
        if (outcome === 'interrupted') return this.best !== before;
        if (outcome === 'worse') break;
      }
    return this.best !== before;
  }

  /** @param {Setting} setting */
  async #try(setting) {
    const { signal, onTried, onBest } = this.#request;
    const candidate = this.#enter(setting);
    const { outcome, verdict } = await this.#judge(candidate);
    candidate.verdict = verdict;
    if (signal?.aborted) {
      if (candidate.rounds.length === 0) this.book.delete(keyOf(setting));
      this.ended = 'interrupted';
      return 'interrupted';
    }
    if (outcome === 'better') {
      this.best = candidate;
      await onBest?.(candidate);
    }
    onTried?.(candidate, this.best);
    return outcome;
  }

  /** @param {Tried} candidate */
  async #judge(candidate) {
    const limit = PATIENCE * latest(this.best).seconds;
    const wasShort = this.#request.left() < limit;
    const look = await this.#look(candidate, limit);
    const judgement = atFirstLook(look, this.best, { memory: this.#memory, spread: this.#spread, wasShort });
    return judgement ?? afterRounds(await this.#inTurns(candidate, limit));
  }

  /** A first trial, or a second one where other programs were in the way. @param {Tried} candidate @param {number} limit */
  async #look(candidate, limit) {
    const look = await this.#trial(candidate, limit);
    const isDisturbed = look.busy !== null && look.busy < DISTURBED * (this.best.rounds[0].busy ?? 0);
    if (!isDisturbed || !this.#mayGoOn()) return look;
    const again = await this.#trial(candidate, limit);
    return (again.tokensPerSecond ?? 0) > (look.tokensPerSecond ?? 0) ? again : look;
  }

  /** @param {Tried} candidate @param {number} limit @returns candidate / best by round */
  async #inTurns(candidate, limit) {
    const { seconds } = latest(this.best);
    /** @type {number[]} */
    const ratios = [];
    while (ratios.length < MOST_ROUNDS && this.#mayGoOn() && this.#request.left() > 2 * seconds) {
      const [theirs, ours] = [await this.#trial(this.best, limit), await this.#trial(candidate, limit)];
      if (!isMeasured(theirs) || !isMeasured(ours)) break;
      ratios.push(ours.tokensPerSecond / theirs.tokensPerSecond);
      if (isSettled(ratios)) break;
    }
    return ratios;
  }

  /** @param {Tried} tried @param {number} limitSeconds */
  async #trial(tried, limitSeconds) {
    const { measure, left, signal } = this.#request;
    const { setting } = tried;
    const trial = await measure(setting, Math.min(limitSeconds, left()));
    if (signal?.aborted) return trial;
    if (isMeasured(trial)) {
      const expected = this.#losses.get(setting.dtype) ?? trial.losses;
      this.#losses.set(setting.dtype, expected);
      const problem = lossProblem(trial.losses, expected, setting.dtype);
      if (problem !== null) Object.assign(trial, { tokensPerSecond: null, problem });
    }
    tried.rounds.push(trial);
    return trial;
  }

  /** @param {Setting} setting @returns {Tried} */
  #enter(setting) {
    const tried = { setting, rounds: [], verdict: '' };
    this.book.set(keyOf(setting), tried);
    return tried;
  }

  #mayGoOn() {
    const { signal, left } = this.#request;
    if (signal?.aborted) this.ended = 'interrupted';
    else if (left() < latest(this.best).seconds) this.ended = 'time';
    return this.ended === 'settled';
  }
}

/** @param {Setting} setting */
const keyOf = (setting) => JSON.stringify(Object.entries(setting).sort());
