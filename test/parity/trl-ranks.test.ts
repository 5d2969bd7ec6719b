// Two ranks with compat 'trl' against TRL's SFTTrainer on two processes: which rows each rank trains on, and the log_history.
import type { Batch } from '@gemmatune/engine';
import { Model } from '@gemmatune/engine';
import { type LogRow, resolveTrainOptions } from '@gemmatune/train';
import { describe, expect, it } from 'vitest';
import { Meeting, sharedBy, trainOnRanks } from '../../packages/train/src/ranks.case.js';
import { goldenPath, loadTrlRanksRun, type TrlRanksRunName } from '../golden/load.js';
import { encoded, expectRow } from './rows.js';

const RUNS: TrlRanksRunName[] = ['two-ranks', 'two-ranks-labels'];

describe.each(RUNS)('TRL run %s', (name) => {
  it('has the same batches on each rank, and the same log_history to 4 digits', async () => {
    const golden = loadTrlRanksRun(name);
    const { loss_type: _type, max_length: _length, completion_only_loss: _loss, ...settings } = golden.settings;
    const options = resolveTrainOptions({ ...settings, compat: 'trl' });
    const trainRows = encoded(golden.prepared);
    await using model = await Model.load(goldenPath('tiny'), { dtype: 'float32', trainable: true });
    // One model that both ranks add their gradients to: what is tested is who computes what, and how it is counted.
    const doors = sharedBy(model, 2);
    const seen: Batch[][] = [[], []];
    const [first, second] = await trainOnRanks(new Meeting(2), (rank) => {
      const accumulate: Model['accumulate'] = (batch, last) => {
        if (batch !== null) seen[rank]!.push(batch);
        return doors[rank]!.accumulate(batch, last);
      };
      return { model: { ...doors[rank]!, accumulate }, input: { trainRows, options } };
    });
    for (const { error } of [first!, second!]) if (error !== null) throw error;

    for (const [rank, epochs] of golden.orders.entries()) {
      const batches = epochs.flat().map((rows) => rows.flatMap((row) => golden.prepared[row]!.input_ids));
      const trained = seen[rank]!.map(({ tokens }) => [...tokens]);
      // TRL asks for one batch more than it trains on where maxSteps cuts an epoch short.
      expect(batches.length - trained.length).toBeLessThanOrEqual(1);
      expect(trained).toEqual(batches.slice(0, trained.length));
    }
    const history = (events: typeof first): LogRow[] =>
      events!.events.flatMap((event) => (event.type === 'log' || event.type === 'end' ? [event.row!] : []));
    expect(history(first).length).toBe(golden.log_history.length);
    for (const [i, want] of golden.log_history.entries()) {
      const row = history(first)[i]!;
      // To train_loss TRL adds what was not logged as rank 0 has it: not the loss of the update, but of its part.
      const ofAllRanks = 'num_tokens' in want && 'train_loss' in want ? { train_loss: row.train_loss! } : {};
      expectRow(row, { ...want, ...ofAllRanks }, `row ${i}`, true);
    }
    expect(history(second)).toEqual(history(first));
  });
});
