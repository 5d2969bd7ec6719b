/** Options that are left out follow from the number of rows: what is said of it, and that training does it. */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { byRowsText } from '@gemmatune/run';
import { BY_ROWS } from '@gemmatune/train';
import { beforeAll, describe, expect, it } from 'vitest';
import { gemmatune, jsonl, lines, TINY, workFolder } from './program.case.js';

const { at } = workFolder();
const row = (i: number) => ({ input_ids: [2, ...new Array(8).fill(10 + (i % 6))] });
const rows = Array.from({ length: 24 }, (_, i) => row(i));
const call = (train: string, out: string, ...more: string[]) => [
  ...['finetune', '--model', at('bare'), '--train', at(train), '--output-dir', at(out), '--dtype', 'float32'],
  ...['--logging-steps', '1', '--json', ...more],
];
beforeAll(async () => {
  await mkdir(at('bare'));
  for (const name of ['config.json', 'model.safetensors']) await cp(join(TINY, name), at('bare', name));
  await writeFile(at('rows.jsonl'), jsonl(rows));
});

/** What the table has for 24 rows. */
const { upTo: _, ...few } = BY_ROWS.find(({ upTo }) => upTo >= 24)!;
const read = async (...path: string[]) => JSON.parse(await readFile(at(...path), 'utf8'));
const saidOf = (stderr: string) => stderr.split('\n').filter((line) => line.includes('docs/settings.md'));

describe('finetune without an option', () => {
  it('says what it takes before it trains, trains with it, and writes it down', async () => {
    const { status, stdout, stderr } = await gemmatune(call('rows.jsonl', 'whole', '--log-file', at('log.jsonl')));
    expect(status, stderr).toBe(0);
    const [line, ...others] = saidOf(stderr);
    expect(others).toEqual([]);
    expect(line).toBe(
      byRowsText({ rows: 24, decided: few, itemsPerUpdate: few.perDeviceTrainBatchSize, packed: false }),
    );
    expect(stderr.indexOf(line!)).toBeLessThan(stderr.indexOf('step 1 '));

    const updates = Math.ceil(24 / few.perDeviceTrainBatchSize) * few.numTrainEpochs;
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ global_step: updates, by_rows: few });
    const rates = lines(await readFile(at('log.jsonl'), 'utf8')).map(({ learning_rate }) => learning_rate);
    expect(rates).toHaveLength(updates);
    expect(Math.max(...rates)).toBe(few.learningRate);
    const warmup = Math.ceil(updates * few.warmupRatio);
    expect(rates[0]).toBeCloseTo(few.learningRate / Math.max(1, warmup), 15);
    expect((await read('whole', 'gemmatune.json')).settings).toMatchObject({ ...few, warmupSteps: 0 });
    expect(await read('whole', 'trainer_state.json')).toMatchObject({
      num_train_epochs: few.numTrainEpochs,
      train_batch_size: few.perDeviceTrainBatchSize,
    });
    expect(await readFile(at('whole', 'report.html'), 'utf8')).toContain(String(few.learningRate));
    expect(await read('whole', 'trial.json')).toMatchObject({ made_of: { learningRate: null }, by_rows: few });
    expect(await read('whole', 'result.json')).toMatchObject({ by_rows: few });
  });

  it('stopped and called again goes on with the same, to the same weights', async () => {
    const words = (out: string) => call('rows.jsonl', out, '--max-steps', '6');
    const { numTrainEpochs: _, ...by_rows } = few;
    const straight = await gemmatune(words('straight'));
    expect((await gemmatune(words('stopped'), { abortOn: 'step 3 ' })).status).toBe(130);
    const again = await gemmatune(words('stopped'));
    expect(again.stderr).toContain(`Continuing from ${at('stopped', 'checkpoint-3')}, update 3.`);
    expect(saidOf(again.stderr)).toEqual(saidOf(straight.stderr));
    const { weights_sha256 } = JSON.parse(straight.stdout);
    expect(JSON.parse(again.stdout)).toMatchObject({ weights_sha256, by_rows });
    expect(JSON.parse((await gemmatune(words('stopped'))).stdout)).toMatchObject({ already: true, by_rows });
  });

  it('counts the rows that are trained on', async () => {
    const [{ upTo }] = BY_ROWS as [(typeof BY_ROWS)[0]];
    const tooLong = { input_ids: new Array(20).fill(5), labels: [...new Array(19).fill(-100), 5] };
    await writeFile(at('long.jsonl'), jsonl([...Array.from({ length: upTo }, (_, i) => row(i)), tooLong, tooLong]));
    const { stdout, stderr } = await gemmatune(
      call('long.jsonl', 'long', '--max-length', '10', '--save-strategy', 'no', '--num-train-epochs', '0.1'),
    );
    expect(saidOf(stderr)[0]).toMatch(new RegExp(`^${upTo} rows: learning rate ${BY_ROWS[0]!.learningRate}, `));
    const { upTo: _, numTrainEpochs: __, ...first } = BY_ROWS[0]!;
    expect(JSON.parse(stdout).by_rows).toEqual(first);
  });
});

describe('options that are given', () => {
  it.each([
    [['--num-train-epochs', '1'], 'numTrainEpochs', 1],
    [['--learning_rate=0.003'], 'learningRate', 0.003],
  ] as const)('%j stays, and only the others are told', async (words, name, value) => {
    const out = `given-${name}`;
    const { status, stdout, stderr } = await gemmatune(call('rows.jsonl', out, '--save-strategy', 'no', ...words));
    expect(status, stderr).toBe(0);
    const { [name]: _, ...others } = few;
    expect(JSON.parse(stdout).by_rows).toEqual(others);
    expect((await read(out, 'gemmatune.json')).settings).toMatchObject({ ...others, [name]: value });
    expect(saidOf(stderr)).toHaveLength(1);
    expect(saidOf(stderr)[0]).not.toContain(name === 'learningRate' ? 'learning rate' : 'epoch');
  });

  it('all of them, in a file, leave nothing to tell', async () => {
    await writeFile(at('all.json'), JSON.stringify({ ...few, learningRate: 0.003, maxSteps: 2 }));
    const { status, stderr } = await gemmatune(call('rows.jsonl', 'all', '--config', at('all.json')));
    expect(status, stderr).toBe(0);
    expect(saidOf(stderr)).toEqual([]);
  });

  it("with --compat trl the defaults are TRL's, and nothing is told", async () => {
    const { status, stdout, stderr } = await gemmatune(call('rows.jsonl', 'trl', '--compat', 'trl'));
    expect(status, stderr).toBe(0);
    expect(saidOf(stderr)).toEqual([]);
    expect(JSON.parse(stdout)).toMatchObject({ global_step: (24 / 8) * 3, by_rows: {} });
    const { log_history } = await read('trl', 'trainer_state.json');
    expect(log_history[0].learning_rate).toBe(2e-5);
    expect((await read('trl', 'trial.json')).made_of).toMatchObject({ learningRate: 2e-5, warmupRatio: 0 });
  });
});
