import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { flag, InputError, required, text } from '@gemmatune/base';
import { push as upload } from '@gemmatune/hub';
import { cardOf, readRunRecord } from '@gemmatune/run';
import { command } from '../command.js';
import { moved } from '../open-model.js';
import { withProgress } from '../terminal/progress.js';

export const push = command({
  usage: 'DIR --repo R [--public] [--message TEXT] [--with-data]',
  positionals: ['DIR'],
  notes: [
    'The model card (README.md) states data, settings and metrics before and after, where finetune trained the model.',
  ],
  options: {
    repo: required('owner/name, or name for your own account. Made where it is not there.', 'a repository'),
    public: flag('Make a new repository public. Default: private.'),
    message: text('Title of the commit.'),
    withData: flag('Upload DIR/data too, the rows that finetune --dataset prepared.'),
    overwriteCard: flag('Write the model card even where DIR has a README.md.'),
  },
  async run({ repo, public: open, message, withData, overwriteCard }, context, [folder]) {
    const data = join(folder!, 'data');
    if (!withData && existsSync(join(data, 'train.jsonl')))
      throw new InputError(
        `${data} holds the rows of the training, which would be uploaded too; move it elsewhere, or allow that with --with-data.`,
      );
    const record = await readRunRecord(folder!);
    const { url, commit } = await withProgress(context.stderr, (progress) =>
      upload(folder!, repo, {
        private: !open,
        overwriteCard,
        signal: context.signal,
        ...(message !== null && { message }),
        ...(record && { card: cardOf(repo, record) }),
        onProgress: moved(progress, `Uploading to ${repo}`),
      }),
    );
    await context.print(context.json ? `${JSON.stringify({ url, commit })}\n` : `${url} (commit ${commit})\n`);
    return undefined;
  },
});
