// How far a native build is, and how long it will take: from what ninja or make say that they will do, and from the lines in which they do it.
import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * What a line of ninja or make, or of their dry runs, compiles or links: the file that it makes. null where it does neither.
 * @param {string} line
 */
export function stepOf(line) {
  const kinds = 'Building \\w+ object|Linking \\w+ (?:executable|(?:static|shared) (?:library|module))';
  return line.match(new RegExp(`\\b(?:${kinds}) ([^\\s"]+)`))?.[1] ?? null;
}

/** Whether a line says no more than how far the build is: nobody wants to read it once it is over. @param {string} line */
export const isProgress = (line) =>
  /^\[ *(\d+%|\d+\/\d+)\] /.test(line) || /^Consolidate compiler generated/.test(line);

/**
 * How long steps take, in compilations of an ordinary source; the first that fits counts.
 * @type {[step: RegExp, weight: number][]}
 */
const WEIGHTS = [
  [/(?<!\.o(bj)?)$/, 0.1], // linked
  [/(attention|matmul|cross_entropy)\/\w+\.cu\.o/, 18], // by nvcc, for every architecture
  [/\.cu\.o/, 3.5],
  [/emulated\/\w*attention/, 5],
  [/emulated\//, 1.5],
];
const weightOf = (/** @type {string} */ step) => WEIGHTS.find(([pattern]) => pattern.test(step))?.[1] ?? 1;

/**
 * The steps that are left to do in a configured folder; none where its generator does not tell.
 * @param {string} folder
 * @param {string | undefined} generator CMake's
 * @param {string[]} build the words after `cmake` that build it
 * @param {(words: string[], env: Record<string, string>) => string} dryRun runs cmake with these words, in an
 *   environment with these variables too, and returns what it prints
 */
export function stepsLeft(folder, generator, build, dryRun) {
  const file = join(folder, 'steps-left'); // what a dry run reads beside what CMake wrote, or instead
  try {
    if (generator === 'Ninja') {
      // Of build.ninja it ends where that file itself would be made anew, after a look for new sources. Nothing makes a copy.
      copyFileSync(join(folder, 'build.ninja'), file);
      return steps(dryRun([...build, '--', '-n', '-f', file], {}));
    }
    // CMake's makefiles of one target take for granted that those before it are there, which they are not after a dry run of these.
    writeFileSync(file, '.DEFAULT: ;\n');
    return steps(dryRun([...build, '--', '-n'], { MAKEFILES: file }));
  } finally {
    rmSync(file, { force: true });
  }
}
/** Each once: make goes through what several targets need for each of them. @param {string} output */
const steps = (output) => [...new Set(output.split('\n').flatMap((line) => stepOf(line) ?? []))];

/** In words for people who wait. @param {number} seconds */
export function timeLeft(seconds) {
  if (seconds >= 90) return `about ${Math.round(seconds / 60)} min left`;
  return `about ${Math.max(10, Math.ceil(seconds / 10) * 10)} s left`;
}

/** Below this share of the work, what it took says nothing about the rest. */
const LEAST_SHARE = 0.04;

export class Progress {
  #planned;
  #begun;
  #behind;
  /** @type {number[]} */
  #weights = [];
  #total;
  /** @type {number | null} */
  #ends = null;

  /**
   * @param {string[]} planned steps
   * @param {number} begun when, in seconds of any clock
   * @param {number} behind how many steps are still under way when the next is told: none for ninja, which tells of those that are done
   */
  constructor(planned, begun, behind = 0) {
    this.#planned = new Set(planned);
    this.#total = planned.reduce((sum, step) => sum + weightOf(step), 0);
    this.#begun = begun;
    this.#behind = behind;
  }

  /** That a step was told of at a time. @param {string} step @param {number} now */
  add(step, now) {
    const weight = weightOf(step);
    this.#weights.push(weight);
    if (!this.#planned.has(step)) this.#total += weight;
    this.#planned.add(step);
    const share = this.#share();
    if (share >= LEAST_SHARE) this.#ends = this.#begun + (now - this.#begun) / share;
  }

  /** Of the work, how much is done. */
  #share() {
    const done = this.#weights.slice(0, Math.max(0, this.#weights.length - this.#behind));
    return done.reduce((sum, weight) => sum + weight, 0) / this.#total;
  }

  /** `[123/270] 46 %, about 3 min left` @param {number} now */
  text(now) {
    const at = `[${this.#weights.length}/${this.#planned.size}] ${Math.floor(100 * this.#share())} %`;
    return this.#ends === null ? at : `${at}, ${timeLeft(this.#ends - now)}`;
  }
}
