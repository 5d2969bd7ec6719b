import { integer, number, optional, text, type ValuesOf } from '@gemmatune/base';
import { FINETUNE_OPTIONS, type FinetuneOptions, finetune as run } from '@gemmatune/run';
import { KNOWN_OPTION_NAMES, TRAIN_OPTION_ALIASES, TRAIN_OPTIONS } from '@gemmatune/train';
import { type Context, command } from '../command.js';
import { asRank, deviceOf, threadsOf } from '../launch/as-rank.js';
import { launch } from '../launch/launch.js';
import { findPlace } from '../launch/place.js';
import { watchRun } from '../watch-run.js';

/** Who this process is among ranks, and what is only told. */
const PROCESS_OPTIONS = {
  devices: integer(
    'Devices of this machine to train on, a process each. Under torchrun, srun, mpirun and the like: 1.',
    1,
    { min: 1 },
  ),
  rank: optional(integer('Which of the ranks this process is, where no launcher says so.', 0, { min: 0 })),
  worldSize: optional(integer('How many ranks there are.', 1, { min: 1 })),
  localRank: optional(
    integer('Which of the ranks of this machine. Default: 0, or as --rank where they meet at a unix: address.', 0, {
      min: 0,
    }),
  ),
  localSize: optional(integer('How many ranks this machine has.', 1, { min: 1 })),
  address: text('Where ranks meet: tcp:host:port of rank 0, or unix:/folder/socket on one machine.'),
  joinTimeout: number('Seconds until all ranks must have come.', 300, { min: 1 }),
  rankTimeout: number('Seconds without a sign of life after which a rank is lost.', 30, { min: 1 }),
  logFile: text('File for every row of the log, as JSON lines, when it is made.'),
};
const options = { ...FINETUNE_OPTIONS, ...PROCESS_OPTIONS };

export const finetune = command({
  usage: '--model M (--train F [--eval-file F] | --dataset D [--take N] [--eval N]) --output-dir DIR [options]',
  notes: [
    'Names of TRL and transformers (per_device_train_batch_size, warmup_ratio, max_seq_length, …) are accepted too.',
    'With --dataset, --seed decides the shuffle (40 where not given) and the order of training; --data-seed the latter alone.',
    'Without --eval-steps or --eval-strategy, evaluation rows are scored after every epoch. Ctrl-C stops after the running',
    'pass (a micro-batch, on the CPU; the update, on several devices) with a checkpoint; --resume goes on from it.',
    'On a GPU products are of bfloat16, with float32 master weights; the micro-batches of an update are computed in as few passes as',
    'its memory takes, which changes no result but by the rounding of sums. The plan is printed before training.',
    'Learning rate, epochs, rows of a micro-batch, schedule and warm-up follow from the number of rows where they are left out',
    '(docs/settings.md); what they are is printed before training.',
    'The same call again: gives the result if there is one, else goes on from the newest checkpoint. trial.json says what made the result.',
    'Exit status: 0 done; 1 failed, also where another rank is lost; 2 the call or an input is wrong; 4 diverged; 75 stopped by SIGTERM,',
    'SIGUSR1 or SIGUSR2, with a checkpoint: call again; 130 Ctrl-C.',
  ],
  options,
  aliases: TRAIN_OPTION_ALIASES,
  alsoAccepts: KNOWN_OPTION_NAMES.filter(
    (name) => !Object.hasOwn(TRAIN_OPTIONS, name) && !Object.hasOwn(TRAIN_OPTION_ALIASES, name),
  ),
  async run(given, context) {
    const { dtype, logFile, overwrite } = given;
    const wanted = optionsOf(given, context);
    const place = findPlace(given, process.env, process.ppid);
    if (place.kind === 'alone')
      return watchRun(run(wanted, { signal: context.signal }), context, { dtype, logFile, overwrite });
    if (place.kind === 'rank')
      return asRank(place, given, context, (group, own) => {
        const device = deviceOf(given.device, place);
        const threads = threadsOf(given.threads, place);
        const ranks = { group, firstOfMachine: place.localRank === 0 };
        const events = run({ ...wanted, device, threads }, { signal: context.signal, ranks });
        return watchRun(events, own, { dtype, logFile: place.rank === 0 ? logFile : null, overwrite });
      });
    const { stdout, stderr, signal, words } = context;
    return launch({ words: ['finetune', ...words], place, stdout, stderr, signal });
  },
});

/** What was given of the run's own options: what was not, the run decides. */
function optionsOf(values: ValuesOf<typeof options>, { given, extras }: Context): FinetuneOptions {
  const own = [...given].filter((name) => Object.hasOwn(FINETUNE_OPTIONS, name));
  return {
    ...Object.fromEntries(own.map((name) => [name, values[name as keyof typeof values]])),
    ...extras,
  } as unknown as FinetuneOptions;
}
