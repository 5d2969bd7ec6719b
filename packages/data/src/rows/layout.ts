import type { ExactObject } from '@gemmatune/schema';

/** Why a row is not used. */
export const DROP_REASONS = ['no_gold', 'no_tools', 'gold_not_in_tools', 'unreadable'] as const;
export type DropReason = (typeof DROP_REASONS)[number];

/** A training row (a tool row, or {messages, tools}), or why there is none. */
export type Normalised = { row: ExactObject } | { why: DropReason; detail?: string };

/** How the rows of one family of data sets are laid out. */
export interface Layout {
  name: string;
  /** Whether a row has this layout, by its columns. */
  detect(row: ExactObject): boolean;
  normalise(row: ExactObject): Normalised;
}
