import type { Screen } from '../command.js';

const EVERY_MS = { terminal: 100, log: 10_000 };
const BAR = 20;

/**
 * Progress of long work on stderr. On a terminal one line that is drawn over and over; elsewhere a line now and then. Lines printed
 * in between go through `line`, so that they do not land in the bar.
 */
export class Progress {
  readonly #screen: Screen;
  #last = Number.NEGATIVE_INFINITY;
  #shown = false;
  /** What was asked to be shown last, where it came too soon after another. */
  #waiting: string | undefined;

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  /** @param share how much is done, 0 to 1; undefined where nobody knows */
  update(title: string, share: number | undefined, details = ''): void {
    const bar = share === undefined ? '' : ` ${drawBar(share)} ${String(Math.floor(share * 100)).padStart(3)} %`;
    const text = `${title}${bar}${details && `  ${details}`}`;
    const now = performance.now();
    this.#waiting = text;
    if (now - this.#last < (this.#screen.isTTY ? EVERY_MS.terminal : EVERY_MS.log)) return;
    this.#last = now;
    this.#draw(text);
  }

  /** A line that stays. */
  line(text: string): void {
    this.#clear();
    this.#screen.write(`${text}\n`);
  }

  /** The work is done: its last state stays on the screen. */
  end(): void {
    if (this.#waiting !== undefined) this.#draw(this.#waiting);
    if (this.#shown) this.#screen.write('\n');
    this.#shown = false;
    this.#waiting = undefined;
    this.#last = Number.NEGATIVE_INFINITY;
  }

  #draw(text: string): void {
    this.#waiting = undefined;
    if (!this.#screen.isTTY) {
      this.#screen.write(`${text}\n`);
      return;
    }
    const width = (this.#screen.columns ?? 80) - 1;
    this.#screen.write(`\r\x1b[K${text.slice(0, width)}`);
    this.#shown = true;
  }

  #clear(): void {
    if (this.#shown) this.#screen.write('\r\x1b[K');
    this.#shown = false;
  }
}

/** Runs `body`; whether it ends well or not, what is printed next begins on a line of its own. */
export async function withProgress<T>(screen: Screen, body: (progress: Progress) => Promise<T>): Promise<T> {
  const progress = new Progress(screen);
  try {
    return await body(progress);
  } finally {
    progress.end();
  }
}

function drawBar(share: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * BAR);
  return `[${'#'.repeat(filled)}${'-'.repeat(BAR - filled)}]`;
}
