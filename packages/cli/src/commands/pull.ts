import { flag, text } from '@gemmatune/base';
import { command } from '../command.js';
import { datasetFiles, modelFolder } from '../open-model.js';

export const pull = command({
  usage: 'ID [--dataset] [--split train]',
  positionals: ['ID'],
  notes: ['ID is a Hub id (organisation/name[@revision]) or kaggle:owner/model/framework/variation.'],
  options: {
    dataset: flag('ID is a data set.'),
    split: text('Split of the data set.', 'train'),
  },
  async run({ dataset, split }, context, [id]) {
    const paths = dataset ? await datasetFiles(id!, split, context) : [await modelFolder(id!, context)];
    await context.print(context.json ? `${JSON.stringify({ id, paths })}\n` : `${paths.join('\n')}\n`);
    return undefined;
  },
});
