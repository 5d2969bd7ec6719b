import { byteRate, decimalBytes, duration, number, times } from '../format.mjs';
import { groupBy } from '../group.mjs';
import { phaseChart } from './train.mjs';

/** @type {Record<string, string>} */
const TITLES = { cpu: 'this CPU', t4: 'Tesla T4', h200: 'H200', t4x2: 'two T4s' };
const titleOf = (target) => TITLES[target] ?? target;

/** Modelled steps beside measured ones. @returns {import('../sections.mjs').Section | null} */
export function rooflineSection({ results }) {
  const steps = results.filter(({ phase }) => phase === 'step');
  const phases = results.filter(({ phase }) => phase && phase !== 'step');
  const absent = results.filter(({ missing }) => missing);
  if (steps.length + absent.length === 0) return null;
  const one = steps.filter(({ design }) => !design);
  const two = steps.filter(({ design }) => design);
  return {
    title: 'Roofline: modelled and measured',
    note: 'Modelled: each op takes as long as the slower of its arithmetic and its memory traffic, at rates that last. The floor is the least work at peak rates.',
    blocks: [
      ...absent.map(({ missing }) => ({ text: missing })),
      ...charts(phases),
      ...(one.length > 0 ? [{ table: stepTable(one) }] : []),
      ...twoGpuBlocks(two),
    ],
    summary: {
      columns: ['step', 'loss', 'tokens', 'modelled', 'tokens/s', 'measured', 'measured/modelled'],
      rows: [...one, ...two.filter(({ design, link }) => design === two[0].design && link === two[0].link)]
        .filter(({ tokens }) => tokens === steps[0].tokens)
        .map((step) => [...cellsOf(step), step.measuredSeconds ? times(step.measuredSeconds / step.seconds) : '']),
      notes: absent.map(({ missing }) => missing),
    },
  };
}

const workOf = ({ sequences, tokens }) => `${sequences} x ${tokens}`;
const measuredOf = ({ measuredSeconds, note }) =>
  measuredSeconds ? duration(measuredSeconds) : note ? 'no such machine' : 'not measured';

/** What both tables begin with: step, loss, tokens, modelled, tokens/s, measured. */
const cellsOf = (step) => [
  titleOf(step.target),
  step.loss,
  workOf(step),
  duration(step.seconds),
  number(step.tokensPerSecond),
  measuredOf(step),
];

/** A chart for each target, of the first of its workloads. */
function charts(phases) {
  return [...groupBy(phases, ({ target }) => target)].map(([target, own]) => {
    const first = own.filter(({ tokens }) => tokens === own[0].tokens);
    const bars = [...groupBy(first, ({ loss }) => loss)].flatMap(([loss, parts]) => {
      /** @param {string} name @param {string} field @returns {[label: string, phases: Record<string, number>]} */
      const bar = (name, field) => {
        const known = parts.filter((part) => part[field] > 0);
        return [`${loss}, ${name}`, Object.fromEntries(known.map((part) => [part.phase, part[field]]))];
      };
      const measured = bar('measured', 'measuredSeconds');
      return [bar('modelled', 'seconds'), ...(Object.keys(measured[1]).length > 0 ? [measured] : [])];
    });
    return { stack: phaseChart(`${titleOf(target)}, ${workOf(first[0])} tokens`, bars) };
  });
}

function stepTable(steps) {
  return {
    columns: ['', 'loss', 'tokens', 'modelled', 'tokens/s', 'measured', 'floor at peak rates', 'bound by', 'launches'],
    rows: steps.map((step) => [...cellsOf(step), duration(step.floorSeconds), step.boundBy, number(step.launches)]),
  };
}

function twoGpuBlocks(steps) {
  if (steps.length === 0) return [];
  const [first] = steps;
  const plan = steps.find(({ plan }) => Array.isArray(plan) && plan.length > 0);
  const links = [...new Set(steps.map(({ link }) => link))].sort((a, b) => a - b);
  const byLink = [...groupBy(steps, ({ design, loss, tokens }) => `${design}, ${loss}, ${tokens}`).values()];
  return [
    { text: `Two T4s, how much faster than one, by the link between them, each way; ${first.note}.` },
    {
      table: {
        columns: ['design', 'loss', 'tokens', 'sent by each', ...links.map(byteRate)],
        rows: byLink.map((same) => [
          same[0].design,
          same[0].loss,
          workOf(same[0]),
          decimalBytes(same[0].bytes),
          ...links.map((link) => times(same.find((step) => step.link === link)?.speedUp)),
        ]),
      },
    },
    ...(plan
      ? [
          {
            text: `The plan, ${plan.design}: ${plan.summary ?? ''} (${plan.loss} loss, ${workOf(plan)} tokens, ${byteRate(plan.link)}).`,
          },
          {
            table: {
              columns: ['what is exchanged', 'when', 'hidden behind', 'bytes each way', 'time', 'of it exposed'],
              rows: plan.plan.map((transfer) => [
                transfer.what,
                transfer.when,
                transfer.hiddenBehind,
                decimalBytes(transfer.bytes),
                duration(transfer.seconds),
                duration(transfer.exposedSeconds),
              ]),
              text: true,
            },
          },
        ]
      : []),
  ];
}
