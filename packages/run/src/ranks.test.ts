import { describe, expect, it } from 'vitest';
import { Meeting } from '../../train/src/ranks.case.js';
import { machineByMachine, ranksText } from './ranks.js';

describe('machineByMachine', () => {
  it('lets the first rank of each machine go before the others', async () => {
    const order: string[] = [];
    const all = new Meeting(4).ranks.map((ranks) =>
      machineByMachine(ranks, ranks.rank % 2 === 0, 'x', async (again) => {
        await new Promise((go) => setTimeout(go, 5));
        order.push(again ? 'again' : 'first');
        return ranks.rank;
      }),
    );
    expect(await Promise.all(all)).toEqual([0, 1, 2, 3]);
    expect(order).toEqual(['first', 'first', 'again', 'again']);
  });

  it('fails on every rank where it fails on one', async () => {
    const all = new Meeting(3).ranks.map((ranks) =>
      machineByMachine(ranks, ranks.rank === 0, 'x', async () => {
        throw new Error('no network');
      }),
    );
    const outcomes = await Promise.allSettled(all);
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { message: 'no network' } });
  });
});

it('a run of several ranks is told in one line', () => {
  const options = { perDeviceTrainBatchSize: 2, gradientAccumulationSteps: 8 };
  expect(ranksText({ size: 2 }, 'emulated:1', 'gloo 0.5.0', options)).toBe(
    '2 ranks on emulated, gloo 0.5.0, 32 rows an update (2 devices x 2 rows x 8)',
  );
});
