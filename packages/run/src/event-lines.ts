/** What the events of a run say, in lines for people. */
import { counted } from '@gemmatune/base';
import { DROP_REASONS, type EncodeReport, type PrepareReport } from '@gemmatune/data';
import type { LogRow, PassPlan } from '@gemmatune/train';
import type { ByRowsEvent, FinetuneEvent } from './events.js';

/** The lines of an event that is told once; none for one that shows how far something is. */
export function eventLines(event: FinetuneEvent): string[] {
  switch (event.type) {
    case 'note':
      return [event.message];
    case 'prepared':
      return preparedLines(event.report);
    case 'encoded':
      return encodedLines(event.path, event.report, event.maxLength);
    case 'not-asked':
      return [notAskedLine(event.path, event.lines)];
    case 'model':
      return [`Using ${event.description}.`];
    case 'ranks':
      return [`${event.description}.`];
    case 'by-rows':
      return [byRowsText(event)].filter((line) => line !== null);
    case 'start':
      return [
        ...(event.resumedFrom === null ? [] : [`Continuing from ${event.resumedFrom}, update ${event.step}.`]),
        `${counted(event.trainRows, 'row')}, ${counted(event.updatesPerEpoch, 'update')} an epoch, ${event.maxSteps} in all.`,
      ];
    case 'plan':
      return [`Plan: ${planText(event)}.`];
    case 'log':
      return [logLine(event.row)];
    case 'evaluate':
      return [`${logLine(event.row)}${event.best ? '  best so far' : ''}`];
    case 'warning':
      return [`Warning: ${event.message}`];
    default:
      return [];
  }
}

/** How many rows were read, used and dropped, and why. */
export function preparedLines({ read, taken, malformed, train, eval: evaluation }: PrepareReport): string[] {
  const lines = [`Read ${counted(read, 'row')}, took ${taken} of them after the shuffle.`];
  if (malformed.count > 0)
    lines.push(
      `Skipped ${counted(malformed.count, 'malformed line')} (${some(malformed.lines.map(({ line }) => line))}: ${malformed.lines[0]?.reason}).`,
    );
  for (const [name, side] of Object.entries({ train, eval: evaluation })) {
    const reasons = DROP_REASONS.filter((why) => side.dropped[why].count > 0).map(
      (why) => `${side.dropped[why].count} ${why}`,
    );
    if (side.rows > 0)
      lines.push(
        `${name}: ${side.usable} of ${counted(side.rows, 'row')} usable${reasons.length ? `; dropped: ${reasons.join(', ')}` : ''}.`,
      );
  }
  return lines;
}

/** What became of a file's rows, in one line, and which of them were cut or left out. */
export function encodedLines(path: string, report: EncodeReport, maxLength: number): string[] {
  const { rows, kept, tooLong, truncated, noTargets, tokens, targets } = report;
  const lines = [
    `${path}: ${kept} of ${counted(rows, 'row')}, ${counted(tokens, 'token')}, ${targets.toLocaleString('en')} of them to learn.`,
  ];
  if (tooLong.length > 0)
    lines.push(
      `  ${counted(tooLong.length, 'row')} longer than max-length ${maxLength} (${some(tooLong)}): ${truncated.length} cut, ${tooLong.length - truncated.length} left out.`,
    );
  if (noTargets.length > 0)
    lines.push(`  ${counted(noTargets.length, 'row')} left out, with nothing to learn within it (${some(noTargets)}).`);
  return lines;
}

export const notAskedLine = (path: string, lines: readonly number[]): string =>
  `${path}: not scored: ${counted(lines.length, 'conversation')} without exactly one call at the end (${some(lines)}).`;

/** Line numbers, the first few. */
export function some(lines: readonly number[], most = 8): string {
  if (lines.length === 0) return 'no line';
  const shown = lines.slice(0, most).join(', ');
  return `line${lines.length === 1 ? '' : 's'} ${shown}${lines.length > most ? ', …' : ''}`;
}

/** `300 rows: learning rate 0.0001, 3 epochs, 8 rows an update; why: docs/settings.md`, of what was left out; null where nothing was. */
export function byRowsText({ rows, decided, itemsPerUpdate, packed }: Omit<ByRowsEvent, 'type'>): string | null {
  const { learningRate, numTrainEpochs, perDeviceTrainBatchSize: batch, lrSchedulerType, warmupRatio } = decided;
  const items = packed ? 'packs' : 'rows';
  const parts: string[] = [];
  if (learningRate !== undefined) parts.push(`learning rate ${learningRate}`);
  if (numTrainEpochs !== undefined) parts.push(counted(numTrainEpochs, 'epoch'));
  if (batch !== undefined && batch !== itemsPerUpdate) parts.push(`${batch} ${items} a micro-batch`);
  if (batch !== undefined) parts.push(`${itemsPerUpdate} ${items} an update`);
  if (lrSchedulerType !== undefined) parts.push(`${lrSchedulerType} schedule`);
  if (warmupRatio !== undefined)
    parts.push(`warm-up in ${Number((100 * warmupRatio).toPrecision(3))} % of the updates`);
  return parts.length === 0 ? null : `${counted(rows, 'row')}: ${parts.join(', ')}; why: docs/settings.md`;
}

const RECOMPUTED = {
  none: 'nothing recomputed',
  elementwise: 'norms, rope and GeGLU recomputed',
  blocks: 'whole blocks recomputed',
} as const;

/** `1 pass of up to 8,192 tokens an update, 9.1 of 14.7 GB; nothing recomputed` */
export function planText({ passes, tokens, bytes, available, recompute }: PassPlan): string {
  const gigabytes = (n: number) => (n / 1e9).toFixed(1);
  const memory = bytes === null || available === null ? '' : `, ${gigabytes(bytes)} of ${gigabytes(available)} GB`;
  const how = recompute === null ? '' : `; ${RECOMPUTED[recompute]}`;
  const count = passes === 1 ? '1 pass' : `up to ${passes} passes`;
  return `${count} of up to ${counted(tokens, 'token')} an update${memory}${how}`;
}

const SHOWN = [
  'loss',
  'eval_loss',
  'grad_norm',
  'learning_rate',
  'mean_token_accuracy',
  'eval_mean_token_accuracy',
] as const satisfies readonly (keyof LogRow)[];

/** A row of log_history in one line. */
function logLine(row: LogRow): string {
  const values = SHOWN.flatMap((key) => {
    const value = row[key];
    return value === undefined ? [] : [`${key} ${value === null ? 'not finite' : Number(value.toPrecision(4))}`];
  });
  return [`step ${row.step}`, `epoch ${Number(row.epoch.toFixed(3))}`, ...values].join('  ');
}
