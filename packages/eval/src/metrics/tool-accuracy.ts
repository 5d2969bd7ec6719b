import { tutorialName } from '../call-block.js';
import { hit, type Metric } from './metric.js';

/** Share of generations whose (first) call names the gold tool; in tutorial format the name is read by the tutorial's regular expression. */
export const toolAccuracy: Metric<'tool_accuracy'> = {
  name: 'tool_accuracy',
  title: 'right tool',
  better: 'higher',
  score: (p) => hit((p.format === 'tutorial' ? tutorialName(p.text) : p.calls[0]?.name) === p.gold.name),
};
