import { join } from 'node:path';
import { counted, flag, integer, naming, optional, required, text } from '@gemmatune/base';
import { prepareFiles } from '@gemmatune/data';
import { encodedRows, ModelText, preparedLines, readModelConfig } from '@gemmatune/run';
import { prepareOutput } from '@gemmatune/train';
import { command } from '../command.js';
import { datasetFiles, modelFolder } from '../open-model.js';

export const prepare = command({
  usage: '--dataset D [--split train] [--seed 40] [--take 3000] [--eval 300] [--model M] --out DIR',
  notes: [
    'Writes DIR/train.jsonl, DIR/eval.jsonl and DIR/report.json, which says why each row that is not there was dropped.',
    'The shuffle and the split are those of datasets.Dataset.shuffle(seed).select(…).',
  ],
  options: {
    dataset: required('A .jsonl, .json or .parquet file, or the Hub id of a data set.', 'a file or Hub id'),
    split: text('Split of a Hub data set.', 'train'),
    seed: integer('Seed of the shuffle.', 40, { min: 0 }),
    take: optional(integer('How many rows to take after the shuffle. Default: all.', 1, { min: 1 })),
    eval: integer('How many of those, the last ones, are for evaluation.', 0, { min: 0 }),
    model: text('Also measure the rows in tokens of this model.'),
    out: required('Folder for the results.', 'a folder'),
    overwrite: flag('Replace the results of an earlier call.'),
  },
  async run({ dataset, split, seed, take, eval: evalRows, model, out, overwrite }, context) {
    await prepareOutput(out);
    const folder = model === null ? null : await modelFolder(model, context);
    const files = await datasetFiles(dataset, split, context);
    const options = { seed, eval: evalRows, ...(take !== null && { take }), overwrite };
    const report = await naming(out, prepareFiles(files, out, options));
    const tokens = folder === null ? null : await lengths(join(out, 'train.jsonl'), folder);
    for (const line of preparedLines(report)) context.note(line);
    if (tokens) context.note(`Tokens a row: median ${tokens.median}, longest ${tokens.longest}.`);
    await context.print(
      context.json
        ? `${JSON.stringify({ ...report, ...(tokens && { tokens }) })}\n`
        : `${out}: ${counted(report.train.usable, 'row')} to train on, ${report.eval.usable} to evaluate on\n`,
    );
    return undefined;
  },
});

async function lengths(path: string, folder: string): Promise<{ median: number; longest: number }> {
  const everything = {
    loss: null,
    compat: null,
    packing: false,
    maxLength: Number.POSITIVE_INFINITY,
    format: 'native',
  } as const;
  const { config } = await readModelConfig(folder);
  const sorted: number[] = [];
  for await (const { inputIds } of encodedRows(path, new ModelText(folder), config.vocabSize, everything))
    sorted.push(inputIds.length);
  sorted.sort((a, b) => a - b);
  return { median: sorted[sorted.length >> 1] ?? 0, longest: sorted.at(-1) ?? 0 };
}
