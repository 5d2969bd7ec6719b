import { push as upload } from '@gemmatune/hub';
import { command } from '../command.js';
import { megabytes } from '../model-source.js';
import { flag, required, text } from '../options.js';
import { cardOf, readRunRecord } from '../run-record.js';
import { Progress } from '../terminal/progress.js';

export const push = command({
  usage: 'DIR --repo R [--public] [--message TEXT]',
  positionals: ['DIR'],
  notes: [
    'The model card (README.md) states data, settings and metrics before and after, where finetune trained the model.',
  ],
  options: {
    repo: required('owner/name, or name for your own account. Made where it is not there.', 'a repository'),
    public: flag('Make a new repository public. Default: private.'),
    message: text('Title of the commit.'),
    overwriteCard: flag('Write the model card even where DIR has a README.md.'),
  },
  async run({ repo, public: open, message, overwriteCard }, context, [folder]) {
    const record = await readRunRecord(folder!);
    const progress = new Progress(context.stderr);
    try {
      const { url, commit } = await upload(folder!, repo, {
        private: !open,
        overwriteCard,
        signal: context.signal,
        ...(message !== null && { message }),
        ...(record && { card: cardOf(repo, record) }),
        onProgress: ({ file, loaded, total }) =>
          progress.update(`Uploading to ${repo}`, loaded / total, `${megabytes(loaded)} ${file}`),
      });
      await context.print(context.json ? `${JSON.stringify({ url, commit })}\n` : `${url} (commit ${commit})\n`);
    } finally {
      progress.end();
    }
    return undefined;
  },
});
