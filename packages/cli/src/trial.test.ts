/** A run as a trial of a sweep: called again it gives its result, or goes on; what else is told, and to whom. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { gemmatune, jsonl, lines, TINY, workFolder } from './program.case.js';

const { at } = workFolder();
const PROGRAM = fileURLToPath(new URL('../bin/gemmatune.mjs', import.meta.url));
const rows = Array.from({ length: 24 }, (_, i) => ({ input_ids: [2, ...new Array(8).fill(10 + (i % 6))] }));
const call = (out: string, ...more: string[]) => [
  ...['finetune', '--model', at('bare'), '--train', at('train.jsonl'), '--output-dir', at(out), '--dtype', 'float32'],
  ...['--per-device-train-batch-size', '4', '--learning-rate', '0.01', '--max-steps', '6', '--logging-steps', '1'],
  ...['--save-steps', '2', '--json', ...more],
];
const weights = (out: string) => readFile(at(out, 'model.safetensors'));

let whole: Awaited<ReturnType<typeof gemmatune>>;
beforeAll(async () => {
  await writeFile(at('train.jsonl'), jsonl(rows));
  await mkdir(at('bare'));
  for (const name of ['config.json', 'model.safetensors']) await cp(join(TINY, name), at('bare', name));
  whole = await gemmatune(call('whole', '--log-file', at('whole.log')));
});

describe('the same call again', () => {
  it('gives the result at once where there is one', async () => {
    expect(whole.status, whole.stderr).toBe(0);
    const before = await stat(at('whole', 'model.safetensors'));
    for (const more of [[], ['--resume'], ['--logging-steps', '3', '--threads', '1']]) {
      const again = await gemmatune(call('whole', ...more));
      expect(again.status, again.stderr).toBe(0);
      expect(again.stderr).toBe('');
      expect(JSON.parse(again.stdout)).toEqual({ ...JSON.parse(whole.stdout), already: true });
    }
    expect((await stat(at('whole', 'model.safetensors'))).mtimeMs).toBe(before.mtimeMs);
    const people = await gemmatune(call('whole').filter((word) => word !== '--json'));
    expect(people.stdout).toContain('This trial is finished: its result, as it was.');
  });

  it('goes on where it was stopped, and ends where an undisturbed run does', async () => {
    const stopped = await gemmatune(call('stopped', '--log-file', at('log')), {
      abortOn: 'step 3 ',
      signal: 'SIGTERM',
    });
    expect(stopped.status).toBe(75);
    const { trial } = JSON.parse(whole.stdout);
    expect(JSON.parse(stopped.stdout)).toMatchObject({
      ...{ status: 'preempted', trial, global_step: 3, tokens: 3 * 36, weights_sha256: null },
      folder: at('stopped', 'checkpoint-3'),
    });
    const resumed = await gemmatune(call('stopped', '--log-file', at('log')));
    expect(resumed.stderr).toContain(`Continuing from ${at('stopped', 'checkpoint-3')}, update 3.`);
    expect(resumed.status).toBe(0);
    expect(await weights('stopped')).toEqual(await weights('whole'));
    const { seconds: _a, output_dir: _b, folder: _c, report: _d, ...result } = JSON.parse(resumed.stdout);
    expect(JSON.parse(whole.stdout)).toMatchObject(result);
    const steps = lines(await readFile(at('log'), 'utf8')).map(({ step }) => step);
    expect(steps).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('makes anew what a run left that ended between its model and its result', async () => {
    await gemmatune(call('torn', '--save-strategy', 'no'));
    const before = await weights('torn');
    await rm(at('torn', 'result.json'));
    const again = await gemmatune(call('torn', '--save-strategy', 'no'));
    expect(again.status, again.stderr).toBe(0);
    expect(again.stderr).toContain('training starts from the beginning');
    expect(await weights('torn')).toEqual(before);
  });

  it.each([
    ['learning rate', ['--learning-rate', '0.02'], 'learningRate was 0.01, and now it is 0.02.'],
    [
      'device',
      ['--device', 'emulated', '--dtype', 'bfloat16'],
      'device was "cpu", and now it is "emulated"; dtype was "float32", and now it is "bfloat16".',
    ],
    ['evaluation', ['--evaluate', '1', '--eval-file', 'EVAL'], 'evalFile was none, and now it is train.jsonl'],
  ])('refuses the folder to a trial of another %s', async (_what, more, difference) => {
    const before = await readdir(at('whole'));
    const words = call('whole', ...more).map((word) => (word === 'EVAL' ? at('train.jsonl') : word));
    const { status, stdout, stderr } = await gemmatune(words);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(`The output folder ${at('whole')} holds another trial: `);
    expect(stderr).toContain(difference);
    expect(await readdir(at('whole'))).toEqual(before);
  });

  it('refuses other data and another base model by their content, and takes them by any name', async () => {
    await writeFile(at('moved.jsonl'), jsonl(rows));
    await writeFile(at('other.jsonl'), jsonl(rows.toReversed()));
    const words = (train: string) => call('whole').map((word) => (word === at('train.jsonl') ? at(train) : word));
    expect((await gemmatune(words('moved.jsonl'))).status).toBe(0);
    const { stderr: other } = await gemmatune(words('other.jsonl'));
    expect(other).toContain('holds another trial: train was train.jsonl, and now it is other.jsonl. Choose');
    await writeFile(at('train.jsonl'), jsonl(rows.toReversed()));
    expect((await gemmatune(call('whole'))).stderr).toContain(': train (train.jsonl) has other content. Choose');
    await writeFile(at('train.jsonl'), jsonl(rows));
    await cp(at('bare'), at('changed'), { recursive: true });
    const config = await readFile(at('bare', 'config.json'), 'utf8');
    await writeFile(at('changed', 'config.json'), `${config} `);
    const { stderr } = await gemmatune(call('whole').map((word) => (word === at('bare') ? at('changed') : word)));
    expect(stderr).toContain('holds another trial: model was bare, and now it is changed. Choose');
  });

  it('starts anew with --overwrite', async () => {
    await cp(at('whole'), at('replaced'), { recursive: true });
    const words = call('replaced', '--seed', '1', '--overwrite');
    const first = await gemmatune(words);
    expect(first.status, first.stderr).toBe(0);
    expect(first.stderr).not.toContain('Continuing');
    expect(await weights('replaced')).not.toEqual(await weights('whole'));
    expect(JSON.parse((await gemmatune(words)).stdout).already).toBeUndefined();
    expect(JSON.parse((await gemmatune(call('replaced', '--seed', '1'))).stdout).already).toBe(true);
  });
});

describe('a trial', () => {
  it('is told in one line, with what its result is', async () => {
    const result = JSON.parse(whole.stdout);
    expect(whole.stdout.split('\n')).toHaveLength(2);
    expect(result).toMatchObject({ status: 'completed', global_step: 6, tokens: 6 * 36, before: null, after: null });
    expect(result.weights_sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(result.seconds).toBeGreaterThan(0);
    const remembered = JSON.parse(await readFile(at('whole', 'trial.json'), 'utf8'));
    expect(remembered.trial).toBe(result.trial);
    const { made_of } = remembered;
    expect(createHash('sha256').update(JSON.stringify(made_of)).digest('hex')).toBe(result.trial);
  });

  it('writes each row of the log when it is made', async () => {
    const { log_history } = JSON.parse(await readFile(at('whole', 'trainer_state.json'), 'utf8'));
    expect(lines(await readFile(at('whole.log'), 'utf8'))).toEqual(log_history.slice(0, 6));
    const { status, stderr } = await gemmatune(call('nolog', '--log-file', at('no', 'log')));
    expect(status).toBe(2);
    expect(stderr).toContain(`${at('no', 'log')} cannot be written`);
  });

  it('that diverges ends in 4, and its line says so', async () => {
    const diverging = ['--learning-rate', '1e38', '--non-finite-patience', '1', '--max-grad-norm', '0'];
    const { status, stdout, stderr } = await gemmatune(call('diverged', ...diverging));
    expect(status, stderr).toBe(4);
    expect(stderr).toMatch(/gemmatune finetune: Training diverged/);
    expect(JSON.parse(stdout)).toMatchObject({ status: 'diverged', train_loss: null, weights_sha256: null });
    expect(existsSync(at('diverged', 'result.json'))).toBe(false);
  });
});

describe('the process', () => {
  /** The program until its log has a row of update 2, then the signal. */
  async function signalled(out: string, signal: NodeJS.Signals) {
    const words = call(out, '--log-file', at(`${out}.log`), '--max-steps', '2000', '--save-steps', '1000');
    const child = spawn(process.execPath, [PROGRAM, ...words], { stdio: 'pipe' });
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    const ended = once(child, 'close');
    while (!/"step":2\b/.test(await readFile(at(`${out}.log`), 'utf8').catch(() => ''))) {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${stderr.slice(0, 500)}`);
      await new Promise((go) => setTimeout(go, 10));
    }
    child.kill(signal);
    const [status] = await ended;
    return { status, stderr, checkpoints: (await readdir(at(out))).filter((name) => name.startsWith('checkpoint-')) };
  }

  it.each([
    ['SIGTERM', 75],
    ['SIGUSR1', 75],
    ['SIGUSR2', 75],
    ['SIGINT', 130],
  ] as const)('ends in a checkpoint on %s, with %i, and opens no inspector', async (signal, expected) => {
    const { status, stderr, checkpoints } = await signalled(`on-${signal}`, signal);
    expect(status, stderr).toBe(expected);
    expect(checkpoints).toHaveLength(1);
    expect(stderr).not.toContain('Debugger');
  });
});

describe('a file that is there', () => {
  it('is not replaced by --log-file unasked, and nothing else is written', async () => {
    await writeFile(at('notes.txt'), 'mine');
    const words = call('unasked', '--log-file', at('notes.txt'), '--save-strategy', 'no');
    for (let i = 0; i < 2; i++) {
      const { status, stderr } = await gemmatune(words);
      expect([status, stderr]).toEqual([
        2,
        expect.stringContaining(
          `--log-file: ${at('notes.txt')} is there already; choose another name, or replace it with --overwrite.`,
        ),
      ]);
      expect(await readFile(at('notes.txt'), 'utf8')).toBe('mine');
      expect(await readdir(at('unasked'))).toEqual([]);
    }
    expect((await gemmatune([...words, '--overwrite'])).status).toBe(0);
    expect(lines(await readFile(at('notes.txt'), 'utf8'))).toHaveLength(6);
  });

  it('is not replaced by --out and --predictions unasked', async () => {
    await writeFile(at('mine.jsonl'), 'mine');
    const tokenize = ['tokenize', '--model', TINY, '--out', at('mine.jsonl')];
    const first = await gemmatune(tokenize, { input: '{"text":"a"}\n' });
    expect(first.status).toBe(2);
    expect(first.stderr).toContain(`--out: ${at('mine.jsonl')} is there already; `);
    const evaluate = ['evaluate', '--model', TINY, '--rows', at('none.jsonl'), '--predictions', at('mine.jsonl')];
    expect((await gemmatune(evaluate)).stderr).toContain(`--predictions: ${at('mine.jsonl')} is there already; `);
    expect(await readFile(at('mine.jsonl'), 'utf8')).toBe('mine');
    expect((await gemmatune([...tokenize, '--overwrite'], { input: '{"text":"a"}\n' })).status).toBe(0);
    expect(await readFile(at('mine.jsonl'), 'utf8')).toMatch(/^{"input_ids":\[2,/);
  });
});

describe('standard output', () => {
  const shell = async (script: string) => {
    const child = spawn('sh', ['-c', script, 'sh', process.execPath, PROGRAM], { stdio: ['ignore', 'pipe', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    child.stdout.resume();
    const [status] = await once(child, 'close');
    return { status, stderr };
  };

  it('that is full is told in one sentence', async () => {
    const { status, stderr } = await shell('"$1" "$2" --help > /dev/full');
    expect(stderr).toBe(
      'gemmatune: Standard output takes no more: no space is left on the disk; what was printed is not complete.\n',
    );
    expect(status).toBe(1);
    const doctor = await shell('"$1" "$2" doctor --json > /dev/full');
    expect(doctor.stderr).toMatch(/^gemmatune doctor: Standard output takes no more/);
    expect(doctor.status).toBe(1);
  });

  it('whose reader has seen enough ends quietly', async () => {
    expect(await shell('"$1" "$2" finetune --help | head -1')).toEqual({ status: 0, stderr: '' });
  });

  it('does not end work whose messages nobody can read', async () => {
    const words = call('unread', '--save-strategy', 'no').map((word) => `'${word}'`);
    const { status } = await shell(`"$1" "$2" ${words.join(' ')} 2> /dev/full`);
    expect(status).toBe(0);
    expect(existsSync(at('unread', 'result.json'))).toBe(true);
  });
});
