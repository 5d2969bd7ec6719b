import { characterErrors } from '../cer.js';
import type { Metric } from './metric.js';

/** Tool-call character error rate: the first generated call block against the gold block; no block counts as all wrong. */
export const tcCer: Metric<'tc_cer'> = {
  name: 'tc_cer',
  title: 'character errors of the call (TC-CER)',
  better: 'lower',
  score: (p) => {
    const { edits, characters } = characterErrors(p.block, p.goldBlock);
    return { value: edits, weight: characters };
  },
};
