/** The ranks of one run: a process each, that meet at an address and know when one of them is lost. */
import { hostname } from 'node:os';
import type { NativeGroup } from './addon.js';
import { rethrow, rethrowAsync } from './errors.js';
import { native } from './native.js';

/** What ranks other than this one are told of, and what decides when they are given up. */
export interface GroupOptions {
  rank: number;
  size: number;
  /** `unix:/fresh-folder/socket` on one machine, else `tcp:host:port`, where rank 0 listens. */
  address: string;
  /** Whatever the ranks of this run share and others do not know: strangers at the port are turned away. Default ''. */
  run?: string;
  /** Of this rank, for the others' errors. Default: host and process. */
  description?: string;
  /** Seconds until all ranks must have come. Default 300. */
  joinTimeout?: number;
  /** Seconds without a sign of life after which a rank is lost. Default 30. */
  rankTimeout?: number;
}

/** How a model's gradients are shared. */
export interface SharingOptions {
  /** Default auto: NCCL for cuda, Gloo for cpu and emulated. */
  collectives?: 'auto' | 'gloo' | 'nccl';
  /** What gradients are on the link; sums are float32 either way. Default float32. */
  wire?: 'float32' | 'bfloat16';
  /**
   * Each rank trains a part of the model: its slice of the vocabulary, and its share of every layer's update. Fewer bytes on the link, and less to do.
   * Default true; false adds up whole gradients, and every rank makes the whole update.
   */
  sharded?: boolean;
}

/** What sharing has cost so far. */
export interface Traffic {
  collectives: number;
  /** Sent by this rank. */
  bytes: number;
  /** Seconds in which a collective was under way. */
  busy: number;
  /** Seconds in which this rank stood still for one. */
  waited: number;
}

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
