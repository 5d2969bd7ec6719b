import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { defaultsOf } from '../command-line.mjs';
import { describeMachine } from '../measure/machine.mjs';
import { contextOf } from '../report/fixtures.mjs';
import { tune } from './tune.mjs';

const model = fileURLToPath(new URL('../../test/golden/tiny', import.meta.url));
const defaults = defaultsOf(tune.options);

/** @type {string} */
let folder;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gemmatune-tune-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** @param {Partial<typeof defaults>} given @param {number} [stopAt] the line at which it is interrupted */
async function run(given, stopAt = Number.POSITIVE_INFINITY) {
  const config = join(folder, 'tuned.json');
  const controller = new AbortController();
  /** @type {string[]} */
  const lines = [];
  const note = (/** @type {string} */ line) => {
    if (lines.push(line) === stopAt) controller.abort(new Error('interrupted'));
  };
  const context = contextOf({ note, machine: describeMachine(), signal: controller.signal });
  const outcome = await tune.run({ ...defaults, model, config, ...given }, context);
  return { ...outcome, lines, written: JSON.parse(await readFile(config, 'utf8')) };
}

it('tells what each setting costs, and writes the best', async () => {
  const { settings, results, lines, written } = await run({ seconds: '20' });
  expect(settings).toMatchObject({ model: 'tiny', sequences: 16, trialSequences: 4, fits: true });
  const tried = results.slice(0, -1);
  expect(tried.filter(({ kept }) => kept)).toHaveLength(1);
  expect(tried[0]).toMatchObject({
    setting: { batch: 2, tokensPerPass: null, recompute: 'elementwise', environment: {} },
  });
  expect(tried.map(({ verdict }) => verdict).join('\n')).not.toMatch(/broken|failed/);
  expect(results.at(-1)).toMatchObject({ best: written, file: join(folder, 'tuned.json') });
  expect(written.perDeviceTrainBatchSize * written.gradientAccumulationSteps).toBe(16);
  expect(lines[0]).toMatch(/^trials: 2 updates of 4 sequences \(an update has 16\), about \d+ tokens each$/);
  expect(lines[1]).toMatch(/tokens\/s, [\d.]+ GB; where it starts$/);
  expect(lines.at(-1)).toMatch(/npx gemmatune finetune --config .*tuned\.json/);
});

it('leaves the best so far when it is interrupted', async () => {
  const { settings, written, results } = await run({ seconds: '60' }, 2);
  expect(settings.ended).toBe('interrupted');
  expect(results.at(-1)?.best).toEqual(written);
});

it('says when nothing fits the memory', async () => {
  const { settings, lines } = await run({ memory: '0.001' }, 2);
  expect(settings).toMatchObject({ memoryBytes: 1e6, fits: false });
  expect(lines.join('\n')).toContain('no setting that was tried takes 0.001 GB or less');
});

it.each([
  [{ batch: '3' }, 'found --sequences 16, --trial-sequences 4, --batch 3; expected each a multiple of the next'],
  [{ seconds: '0' }, "--seconds: found '0', expected a number above 0"],
  [{ steps: '1' }, '--steps: found 1, expected at least 2: the first is not timed'],
])('refuses %j', async (given, message) => {
  await expect(run(given)).rejects.toThrow(message);
});
