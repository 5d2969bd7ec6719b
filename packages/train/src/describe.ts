import { readFile } from 'node:fs/promises';
import type { EncodedRow } from '@gemmatune/data';
import type { RunOptions } from './by-rows.js';
import type { TrainOptionName } from './config.js';
import type { Description } from './ranks.js';
import { fingerprint, type Identity } from './resume.js';

/** Options that ranks may have otherwise: rank 0 alone looks at the folder, and passes are agreed upon. */
const OF_EACH_RANK: readonly TrainOptionName[] = [
  'outputDir',
  'overwrite',
  'resume',
  'tokensPerPass',
  'recompute',
  'gradientCheckpointing',
];

/** What every rank must be given alike, in few plain values. */
export async function describeRun(run: {
  options: RunOptions;
  identity: Identity;
  evalRows: readonly EncodedRow[];
  evalMetrics: boolean;
}): Promise<Description> {
  const { options, identity, evalMetrics } = run;
  const shared = Object.entries(options).filter(([name]) => !OF_EACH_RANK.includes(name as TrainOptionName));
  const evaluation = await fingerprint(run.evalRows);
  return {
    version: (await packageJson()).version,
    // Before the options: their number decides some of them.
    trainRows: identity.data.rows,
    trainSha256: identity.data.sha256,
    ...Object.fromEntries(shared),
    writes: options.outputDir !== null,
    evalRows: evaluation.rows,
    evalSha256: evaluation.sha256,
    evalMetrics,
  };
}

const packageJson = async (): Promise<{ version: string }> =>
  JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
