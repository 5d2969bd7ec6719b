import { hermesRow } from '../hermes/row.js';
import type { Layout } from './layout.js';

/** interstellarninja/hermes_reasoning_tool_use: {conversations, tools, task} → a tool row. */
export const hermes: Layout = {
  name: 'hermes',
  detect: (row) => row.has('conversations') && row.has('task'),
  normalise(source) {
    const { why, row } = hermesRow(source);
    return why === 'usable' ? { row: row! } : { why };
  },
};
