import { binaryBytes, duration, joined, losses, number, percent } from '../format.mjs';
import { labels } from '../labels.mjs';

/** Training: speed, phases of a step, memory. @returns {import('../sections.mjs').Section | null} */
export function trainSection({ results }) {
  const measured = results.filter(({ tokensPerSecond }) => typeof tokensPerSecond === 'number');
  if (measured.length === 0) return null;
  const { shared, own } = namesOf(measured);
  const runs = measured.map((run, i) => ({ ...run, name: own[i] }));
  const phased = runs.filter(({ phases }) => phases && Object.keys(phases).length > 0);
  const speed = runs.map(({ name, tokensPerSecond }) => ({
    label: name,
    value: tokensPerSecond,
    text: number(tokensPerSecond),
  }));
  const memory = runs.map(({ name, peakBytes }) => ({
    label: name,
    value: peakBytes ?? 0,
    text: binaryBytes(peakBytes),
    tone: 'second',
  }));
  const steps = phased.map(({ name, phases }) => [name, phases]);
  return {
    title: 'Training',
    note: shared && `All: ${shared}.`,
    blocks: [
      { bars: { title: 'tokens/s', items: speed } },
      { bars: { title: 'peak memory', items: memory } },
      ...(steps.length > 0 ? [{ stack: phaseChart('a step by phase', steps) }] : []),
      { table: fullTable(runs) },
    ],
    summary: {
      columns: ['loss', 'tokens/s', 'step', 'spread', 'peak memory', 'of peak', 'of roofline', 'largest phase'],
      rows: runs.map((run) => [
        run.name,
        number(run.tokensPerSecond),
        duration(run.stepSeconds),
        duration(run.stepSecondsSpread),
        binaryBytes(run.peakBytes),
        percent(run.mfu),
        percent(run.rooflineShare),
        largestPhase(run),
      ]),
    },
  };
}

function fullTable(runs) {
  const columns = {
    '': ({ name }) => name,
    'tokens/s': ({ tokensPerSecond }) => number(tokensPerSecond),
    'supervised tokens/s': ({ supervisedTokensPerSecond }) => number(supervisedTokensPerSecond),
    step: ({ stepSeconds }) => duration(stepSeconds),
    spread: ({ stepSecondsSpread }) => duration(stepSecondsSpread),
    'of the arithmetic peak': ({ mfu }) => percent(mfu),
    'of the roofline': ({ rooflineShare }) => percent(rooflineShare),
    launches: ({ launchesPerStep }) => number(launchesPerStep),
    sequences: ({ sequences, batch, accumulation }) =>
      batch && accumulation ? `${sequences} (${batch} x ${accumulation})` : (sequences ?? ''),
    losses: (run) => losses(run.losses),
  };
  return { columns: Object.keys(columns), rows: runs.map((run) => Object.values(columns).map((cell) => cell(run))) };
}

/** Loss, device, dtype, precision, recomputation, as far as they differ. */
function namesOf(runs) {
  const write = (/** @type {Record<string, any>} */ { loss, recompute, ...fields }) =>
    joined([loss, ...Object.values(fields), recompute && `recompute ${recompute}`], ', ');
  return labels(
    runs.map(({ loss, device, dtype, precision, recompute }) => ({ loss, device, dtype, precision, recompute })),
    write,
  );
}

function largestPhase({ phases = {} }) {
  const [largest] = Object.entries(phases).sort(([, a], [, b]) => b - a);
  const total = Object.values(phases).reduce((a, b) => a + b, 0);
  return largest ? `${largest[0]} ${percent(largest[1] / total)}` : '';
}

/** @param {string} title @param {[label: string, phases: Record<string, number>][]} bars seconds by phase */
export function phaseChart(title, bars) {
  return {
    title,
    items: bars.map(([label, phases]) => ({
      label,
      text: duration(Object.values(phases).reduce((a, b) => a + b, 0)),
      parts: Object.entries(phases).map(([name, value]) => ({ name, value, text: duration(value) })),
    })),
  };
}
