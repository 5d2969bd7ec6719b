/** The ranks of one run: a process each, that meet at an address and know when one of them is lost. */
import { hostname } from 'node:os';
import type { GroupOptions, NativeGroup } from './addon.js';
import { rethrow, rethrowAsync } from './errors.js';
import { native } from './native.js';

/** Rejections are EngineError: ERR_GEMMATUNE_RANK names the rank that is lost, or differs, and where. */
export class Group {
  readonly rank: number;
  readonly size: number;
  readonly #native: NativeGroup;

  private constructor(options: Required<GroupOptions>) {
    this.rank = options.rank;
    this.size = options.size;
    this.#native = rethrow(() => new (native().Group)(options));
  }

  /** Waits until all ranks have come. `signal` gives up waiting. */
  static async join(options: GroupOptions, signal?: AbortSignal): Promise<Group> {
    const description = `${hostname()}, process ${process.pid}`;
    const group = new Group({ run: '', description, joinTimeout: 300, rankTimeout: 30, ...options });
    const leave = () => group.#native.leave('it was interrupted');
    signal?.throwIfAborted();
    signal?.addEventListener('abort', leave, { once: true });
    try {
      await rethrowAsync(() => group.#native.join());
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', leave);
    }
    members.set(group, group.#native);
    return group;
  }

  /** Every rank's bytes, by rank; resolves when all ranks have called with the same `what`. One call at a time. */
  gather(what: string, mine: Uint8Array): Promise<Uint8Array[]> {
    return rethrowAsync(() => this.#native.gather(what, mine));
  }

  /** Says goodbye: without a reason all is done, else the other ranks fail with it. Calls that wait reject. */
  leave(reason = ''): void {
    rethrow(() => this.#native.leave(reason));
  }
}

const members = new WeakMap<Group, NativeGroup>();

/** For Model.share alone. */
export const nativeGroup = (group: Group): NativeGroup => members.get(group)!;
