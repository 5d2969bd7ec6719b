/** The ranks of one run: a process each, that meet at an address and know when one of them is lost. */

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
  /** Each rank trains its own slice of the vocabulary: far fewer bytes on the link. Default true. */
  vocabularyParallel?: boolean;
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
