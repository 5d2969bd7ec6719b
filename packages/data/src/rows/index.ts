import type { ExactObject } from '@gemmatune/schema';
import { hermes } from './hermes.js';
import type { Layout, Normalised } from './layout.js';
import { messages } from './messages.js';
import { sharegpt } from './sharegpt.js';
import { xlam } from './xlam.js';

export { DROP_REASONS, type DropReason, type Layout, type Normalised } from './layout.js';

/** Every row layout, asked in this order. To add one: a file beside this one and a line here. */
export const LAYOUTS = { hermes, messages, xlam, sharegpt } satisfies Record<string, Layout>;
export type LayoutName = keyof typeof LAYOUTS;

/** The training row a source row holds, or why it holds none. */
export function normaliseRow(source: ExactObject): Normalised {
  const layout = Object.values(LAYOUTS).find((known) => known.detect(source));
  if (layout !== undefined) return layout.normalise(source);
  return {
    why: 'unreadable',
    detail: `the columns ${[...source.keys()].join(', ') || '(none)'} are of no known layout`,
  };
}
