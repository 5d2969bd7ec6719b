// Real weights against transformers: prompts, log-probabilities, greedy ids; bfloat16 and the GPU's code paths against float64.
import { Model } from '@gemmatune/engine';
import { renderToolRow } from '@gemmatune/template';
import { Tokenizer } from '@gemmatune/tokenizer';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { pack } from '../parity/batches.js';
import {
  base,
  doubles,
  errors,
  floats,
  generation,
  ids,
  prompts,
  requireSameWeights,
  rows,
  sequences,
  without,
} from './base.js';

const HOUR = 3_600_000;
const everywhere = (ids: number[]) => ({ ids, labels: ids });

/** How far what `score` gives for one sequence is from what is expected; the last value has no target. */
const differences = (got: ArrayLike<number>, want: ArrayLike<number>): number[] =>
  Array.from(want, (value, t) => Math.abs(got[t]! - value));

const largestOf = (errors: number[]) => Math.max(...errors);
const rmsOf = (errors: number[]) => Math.sqrt(errors.reduce((sum, error) => sum + error ** 2, 0) / errors.length);

/** Equal to 1e-4. Both sides round: against float64 either is off by up to 5e-5 at a token, so that one in a thousand may be up to 2e-4 apart. */
function expectEqual(apart: number[], what: string): void {
  const beyond = apart.filter((error) => !(error < 1e-4)).length;
  const largest = largestOf(apart);
  console.log(`float32: ${beyond} of ${apart.length} ${what} beyond 1e-4, at most ${largest.toExponential(2)}`);
  expect(beyond).toBeLessThanOrEqual(apart.length / 1000);
  expect(largest).toBeLessThan(2e-4);
}

describe.skipIf(base === undefined)(`the real base${without}`, () => {
  beforeAll(requireSameWeights);
  afterEach(() => {
    delete process.env.GEMMATUNE_GPU;
  });

  it('renders and tokenizes the fifty prompts and answers as transformers does', async () => {
    const tokenizer = await Tokenizer.load(base!);
    const all = await rows();
    for (const { row, prompt, answer } of prompts.rows) {
      const [asked, gold] = renderToolRow(all[row]!);
      expect([...tokenizer.encode(asked.text, { addSpecialTokens: false })], `prompt ${row}`).toEqual(prompt);
      expect([...tokenizer.encode(gold.text, { addSpecialTokens: false })], `answer ${row}`).toEqual(answer);
    }
  });

  it('float32: log-probabilities of every token of the fifty', { timeout: HOUR }, async () => {
    await using model = await Model.load(base!, { dtype: 'float32' });
    const apart: number[] = [];
    for (const [i, sequence] of sequences.entries()) {
      const { logprobs } = await model.score(pack([everywhere(sequence)]));
      apart.push(...differences(logprobs, floats.get(`logprobs.${i}`)!.data));
    }
    expectEqual(apart, 'log-probabilities');
  });

  // Log-probabilities are logits less one number a position: eight ids drawn at each position tell of all 262,144.
  it('float32: logits of ids drawn at random', { timeout: HOUR }, async () => {
    await using model = await Model.load(base!, { dtype: 'float32' });
    const apart: number[] = [];
    for (const i of errors.float32.keys()) {
      const { shape, data } = ids.get(`targets.${i}`)!;
      const [draws, length] = shape as [number, number];
      for (let draw = 0; draw < draws; draw++) {
        const batch = pack([everywhere(sequences[i]!)]);
        batch.targets = Int32Array.from([...data.subarray(draw * length, (draw + 1) * length), -100]);
        const { logprobs } = await model.score(batch);
        apart.push(
          ...differences(logprobs, floats.get(`probed.${i}`)!.data.subarray(draw * length, (draw + 1) * length)),
        );
      }
    }
    expectEqual(apart, 'logits of drawn ids');
  });

  // Ids must agree as far as the reference's lead of a logit over the second is more than rounding; after that the texts are two.
  it('float32: greedy ids of fifty calls of 64 tokens', { timeout: HOUR }, async () => {
    await using model = await Model.load(base!, { dtype: 'float32' });
    const asked = prompts.rows.map(({ prompt }) => Int32Array.from(prompt));
    const got = await model.generate(asked, { maxNewTokens: generation.maxNewTokens, stopIds: [] });
    let agreed = 0;
    for (const [i, { greedy, leads }] of generation.rows.entries()) {
      const apart = greedy.findIndex((id, t) => got[i]![t] !== id);
      if (apart === -1) agreed++;
      else expect(leads[apart], `row ${i} at token ${apart}`).toBeLessThan(2e-4);
    }
    console.log(`greedy ids: ${agreed} of ${generation.rows.length} calls equal, the others at a tie`);
    expect(agreed).toBeGreaterThanOrEqual(45);
  });

  it.each(['float32', 'bfloat16'] as const)(
    "%s: errs at most twice as much as PyTorch's own, against float64",
    { timeout: HOUR },
    async (dtype) => {
      await using model = await Model.load(base!, { dtype });
      for (const [i, pytorch] of errors[dtype].entries()) {
        const { logprobs } = await model.score(pack([everywhere(sequences[i]!)]));
        const error = differences(logprobs, doubles.get(`truth.${i}`)!.data);
        const rms = rmsOf(error);
        console.log(`${dtype}, row ${i}: rms ${rms.toExponential(2)} (PyTorch ${pytorch.rms.toExponential(2)})`);
        expect(rms, `row ${i}`).toBeLessThan(2 * pytorch.rms);
        expect(largestOf(error), `row ${i}`).toBeLessThan(2 * pytorch.largest);
      }
    },
  );

  // The beginning of a sequence: what follows changes nothing. Short, because an emulated step of 270M takes minutes.
  it.each(['sm80', 'sm75'])('emulated %s: the first tokens of a prompt', { timeout: HOUR }, async (path) => {
    process.env.GEMMATUNE_GPU = path;
    const LENGTH = 12;
    const start = sequences[0]!.slice(0, LENGTH);
    await using model = await Model.load(base!, { device: 'emulated', dtype: 'bfloat16' });
    const { logprobs } = await model.score(pack([everywhere(start)]));
    const error = differences(logprobs, doubles.get('truth.0')!.data.subarray(0, LENGTH - 1));
    const largest = largestOf(error);
    console.log(`emulated ${path}: rms ${rmsOf(error).toExponential(2)}, largest ${largest.toExponential(2)}`);
    expect(largest).toBeLessThan(2 * errors.bfloat16[0]!.largest);
  });
});
