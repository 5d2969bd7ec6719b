import { InputError } from '@gemmatune/base';
import { type EncodedRow, IGNORE, packBatch } from '@gemmatune/data';
import type { Model } from '@gemmatune/engine';
import { checkIds, DEVICE_OPTIONS, modelOption } from '@gemmatune/run';
import { parseExample } from '@gemmatune/schema';
import { command } from '../command.js';
import { FILTER_OPTIONS, filterLines, parseObject } from '../json-lines.js';
import { modelFolder, openModel } from '../open-model.js';

/** Most tokens of one forward pass. */
const MAX_TOKENS = 4096;

export const score = command({
  usage: '--model M [--dtype float32] [--in FILE] [--out FILE]',
  notes: [
    'In: {input_ids, labels?}, one JSON object a line; labels are not shifted, -100 = not a target, absent = input_ids.',
    'Out: {loss, logprobs}. loss is the mean over targets, null where there is none. logprobs[t] is the log-probability of the',
    'label at t + 1, given input_ids up to t; null where that is no target, and at the last position.',
  ],
  options: { model: modelOption, ...DEVICE_OPTIONS, ...FILTER_OPTIONS },
  async run(options, context) {
    await using model = await openModel(await modelFolder(options.model, context), options, context);
    await filterLines(options, context, rowParser(model.config.vocabSize), async (lines) => {
      const results: { loss: number | null; logprobs: (number | null)[] }[] = [];
      for (const rows of batches(lines.map(({ value }) => value))) {
        context.signal.throwIfAborted();
        results.push(...(await scoreRows(model, rows)));
      }
      return results;
    });
    return undefined;
  },
});

function rowParser(vocabSize: number) {
  return (text: string, where: string): EncodedRow => {
    const row = parseExample(parseObject(text, where), where);
    if (!('input_ids' in row)) throw new InputError(`${where}: found no input_ids, expected {input_ids, labels?}.`);
    const { input_ids, labels = input_ids } = row;
    checkIds(input_ids, vocabSize, `${where}: input_ids`);
    const targets = labels.map((label) => (label === IGNORE ? 0 : label));
    checkIds(targets, vocabSize, `${where}: labels`);
    return { inputIds: Int32Array.from(input_ids), labels: Int32Array.from(labels) };
  };
}

/** Rows in their order, as many at a time as fit one forward pass. */
function batches(rows: EncodedRow[]): EncodedRow[][] {
  const out: EncodedRow[][] = [];
  let tokens = Number.POSITIVE_INFINITY;
  for (const row of rows) {
    tokens += row.inputIds.length;
    if (tokens > MAX_TOKENS) {
      out.push([]);
      tokens = row.inputIds.length;
    }
    out.at(-1)!.push(row);
  }
  return out;
}

async function scoreRows(
  model: Model,
  rows: EncodedRow[],
): Promise<{ loss: number | null; logprobs: (number | null)[] }[]> {
  const { starts, ...packed } = packBatch(rows);
  const { logprobs } = await model.score({ ...packed, starts });
  return rows.map((_, i) => {
    const own = Array.from(logprobs.subarray(starts[i], starts[i + 1]), (p) => (Number.isNaN(p) ? null : p));
    const targets = own.filter((p) => p !== null);
    const sum = targets.reduce((total, p) => total + p, 0);
    return { loss: targets.length === 0 ? null : -sum / targets.length, logprobs: own };
  });
}
