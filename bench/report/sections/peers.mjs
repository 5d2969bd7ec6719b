import { binaryBytes, joined, losses, number, percent, settingText, times } from '../format.mjs';

/** The same work done by others. @returns {import('../sections.mjs').Section | null} */
export function peersSection({ results, settings }) {
  const skipped = Array.isArray(settings.skipped) ? settings.skipped : [];
  const runs = results.filter(({ peer, tokensPerSecond }) => peer && typeof tokensPerSecond === 'number');
  const ratios = results.filter(({ ratio }) => typeof ratio === 'number');
  if (runs.length + ratios.length === 0) return null;
  const blocks = [];
  if (ratios.length > 0)
    blocks.push({
      bars: {
        title: 'speed, ours over theirs (thin line: lowest to highest round)',
        mark: { value: 1, text: 'as fast' },
        items: ratios.map((each) => ({
          label: nameOf(each),
          value: each.ratio,
          low: each.ratioLow,
          high: each.ratioHigh,
          text: joined([times(each.ratio), `${number(each.ratioLow)} to ${number(each.ratioHigh)}`]),
          tone: each.ratio >= 1 ? 'good' : 'bad',
        })),
      },
    });
  if (ratios.some(({ memoryRatio }) => typeof memoryRatio === 'number'))
    blocks.push({
      bars: {
        title: 'peak memory, ours over theirs',
        mark: { value: 1, text: 'as much' },
        items: ratios
          .filter(({ memoryRatio }) => typeof memoryRatio === 'number')
          .map((each) => ({
            label: nameOf(each),
            value: each.memoryRatio,
            text: number(each.memoryRatio),
            tone: each.memoryRatio <= 1 ? 'good' : 'bad',
          })),
      },
    });
  blocks.push({
    table: {
      columns: ['', 'loss', 'precision', 'tokens/s', 'rounds', 'peak memory', 'losses', 'settings'],
      rows: runs.map((run) => [
        joined([run.label ?? run.peer, run.what], ', '),
        run.loss ?? '',
        run.precision ?? '',
        number(run.tokensPerSecond),
        (run.rounds ?? []).map(number).join(', '),
        binaryBytes(run.peakBytes),
        losses(run.losses),
        settingText(run.settings),
      ]),
      text: true,
    },
  });
  const ratioTable = {
    columns: ['against', 'speed', 'lowest', 'highest', 'memory', 'the same is computed'],
    rows: ratios.map((each) => [
      nameOf(each),
      times(each.ratio),
      times(each.ratioLow),
      times(each.ratioHigh),
      times(each.memoryRatio),
      proofOf(each),
    ]),
  };
  return {
    title: 'Against peers',
    note: 'On the same rows, batches and precision, in turns; ratios of medians.',
    blocks: [
      ...blocks,
      { table: ratioTable },
      ...(skipped.length > 0 ? [{ text: `Not compared: ${skipped.join('; ')}.` }] : []),
    ],
    summary: { ...ratioTable, notes: skipped.map((sentence) => `not compared: ${sentence}`) },
  };
}

const nameOf = ({ against, loss, precision, what }) => joined([against, loss, precision, what], ', ');

/** Losses of both sides, or the ids that both generate. */
function proofOf({ lossDifference, lossTolerance, lossesAgree, equalIds }) {
  if (typeof equalIds === 'number') return `${percent(equalIds)} equal ids`;
  if (typeof lossDifference !== 'number') return '';
  const text = `losses within ${number(lossDifference)}`;
  return lossesAgree === false ? { text: `${text}, more than ${number(lossTolerance)}`, tone: 'bad' } : text;
}
