/** Whatever is wrong with the call or an input: status 2, one sentence that names it, and nothing written over. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { devices } from '@gemmatune/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { gemmatune, jsonl, longModel, TINY, toolRow, workFolder } from './program.case.js';

const { folder, at } = workFolder();

/** A copy of the tiny model with one file changed. */
async function damaged(name: string, change: (path: string) => Promise<void>, file = 'config.json') {
  await cp(TINY, at(name), { recursive: true });
  await change(at(name, file));
  return at(name);
}
const edit = (from: string, to: string) => async (path: string) =>
  writeFile(path, (await readFile(path, 'utf8')).replace(from, to));
/** Puts a float32 at the end of a file: into the last tensor. */
const lastWeight = (value: number) => async (path: string) => {
  const bytes = await readFile(path);
  bytes.writeFloatLE(value, bytes.length - 4);
  await writeFile(path, bytes);
};
const file = async (name: string, content: string | Uint8Array) => {
  await writeFile(at(name), content);
  return at(name);
};
const score = (model: string) => ['score', '--model', model];
const finetune = (model: string, train: string, ...more: string[]) => [
  ...['finetune', '--model', model, '--train', train, '--output-dir', at('never'), ...more],
];
const evaluate = (rows: string, ...more: string[]) => ['evaluate', '--model', TINY, '--rows', rows, ...more];
const prepare = (dataset: string, ...more: string[]) => [
  ...['prepare', '--dataset', dataset, '--out', at('rows'), ...more],
];
const conversation = (...calls: string[]) => ({
  messages: [
    { role: 'user', content: 'Weather in Porto?' },
    { role: 'assistant', tool_calls: calls.map((name) => ({ function: { name, arguments: {} } })) },
  ],
  tools: toolRow('', '{}').hf_tools,
});

type Case = [what: string, words: () => Promise<string[]>, message: string];

async function refused(words: string[], message: string) {
  const { status, stdout, stderr } = await gemmatune(words);
  expect(stderr).toContain(message);
  expect(stderr).not.toMatch(/\n\s+at /);
  // Notes may stand above it; the sentence itself is one line and ends like one.
  expect(stderr.trimEnd().split('\n').at(-1)).toMatch(/^gemmatune( [a-z]+)?: /);
  expect(status).toBe(2);
  expect(stdout).toBe('');
  for (const name of ['model.safetensors', 'trainer_state.json', 'checkpoint-1'])
    expect(existsSync(at('never', name))).toBe(false);
}

describe('a model', () => {
  const weights = 'model.safetensors';
  const cases: Case[] = [
    ['that is not there', async () => finetune(at('no-model'), 'x'), 'There is no model folder'],
    ['without config.json', async () => score(await damaged('no-config', rm)), 'has no config.json'],
    ['whose config.json is no JSON', async () => score(await damaged('json', edit('{', ''))), 'config.json: '],
    [
      'of another architecture',
      async () => score(await damaged('llama', edit('"gemma3_text"', '"llama"'))),
      'model_type is "llama", expected "gemma3_text"',
    ],
    [
      'with a text for a size',
      async () => score(await damaged('type', edit('"hidden_size": 48', '"hidden_size": "big"'))),
      'hidden_size is "big"',
    ],
    [
      'with a fraction for a size',
      async () => score(await damaged('fraction', edit('"hidden_size": 48', '"hidden_size": 48.5'))),
      'hidden_size is 48.5',
    ],
    [
      'with no layers',
      async () => score(await damaged('layers', edit('"num_hidden_layers": 4', '"num_hidden_layers": 0'))),
      'num_hidden_layers is 0',
    ],
    [
      'with an unknown kind of layer',
      async () => score(await damaged('kind', edit('"full_attention"', '"linear_attention"'))),
      '"linear_attention"',
    ],
    [
      'whose shapes do not match its config',
      async () => score(await damaged('shape', edit('"intermediate_size": 96', '"intermediate_size": 95'))),
      'config.json expects [95, 48]',
    ],
    ['without weights', async () => score(await damaged('no-weights', rm, weights)), 'model.safetensors: cannot open'],
    [
      'with truncated weights',
      async () => score(await damaged('cut', (path) => truncate(path, 20_000), weights)),
      'truncated',
    ],
    [
      'that inspect finds truncated, reading headers alone',
      async () => ['inspect', await damaged('cut-too', (path) => truncate(path, 20_000), weights)],
      'truncated',
    ],
    [
      'with weights that are something else',
      async () => score(await damaged('else', (path) => writeFile(path, 'version https://git-lfs'), weights)),
      'not a safetensors file',
    ],
    [
      'with a weight that is NaN',
      async () => score(await damaged('nan', lastWeight(Number.NaN), weights)),
      'model.safetensors: ',
    ],
    [
      'with an infinite weight, told by inspect --check',
      async () => ['inspect', '--check', await damaged('infinite', lastWeight(Number.POSITIVE_INFINITY), weights)],
      'model.safetensors: ',
    ],
    [
      'with a damaged tokenizer',
      async () => ['tokenize', '--model', await damaged('tokens', (path) => truncate(path, 500), 'tokenizer.json')],
      'tokenizer.json',
    ],
    [
      'without a tokenizer, for rows of text',
      async () => finetune(await damaged('mute', rm, 'tokenizer.json'), await file('a.jsonl', '{"text":"a"}\n')),
      'has no tokenizer.json, expected one for rows of text',
    ],
    [
      'for what is no device',
      async () => [...score(TINY), '--device', 'gpu'],
      "--device: found 'gpu', expected cpu, cuda, cuda:1 (or another number) or emulated.",
    ],
    [
      'for a device that is not there',
      async () => [...score(TINY), '--device', 'cuda:99'],
      devices('cuda').problem ?? 'device 99 does not exist',
    ],
  ];
  it.each(cases)('%s', async (_what, words, message) => refused(await words(), message));
});

describe('rows', () => {
  const cases: Case[] = [
    ['that are not there', async () => finetune(TINY, at('none.jsonl')), 'none.jsonl: there is no such file'],
    ['in a folder', async () => evaluate(TINY), `${TINY}: `],
    [
      'with a malformed line',
      async () => finetune(TINY, await file('m.jsonl', '{"text":"a"}\n{oops\n')),
      'm.jsonl line 2: ',
    ],
    [
      'of a wrong type',
      async () => finetune(TINY, await file('t.jsonl', '{"text":5}\n')),
      't.jsonl line 1: text: found 5, expected text.',
    ],
    ['of an empty file', async () => finetune(TINY, await file('e.jsonl', '')), 'found an empty file'],
    [
      'that are not UTF-8',
      async () => finetune(TINY, await file('latin.jsonl', Buffer.from('{"text":"caf\xe9"}\n', 'latin1'))),
      'latin.jsonl line 1: ',
    ],
    [
      'with an id outside the vocabulary',
      async () => finetune(TINY, await file('i.jsonl', '{"input_ids":[2,3]}\n{"input_ids":[2,384]}\n')),
      'i.jsonl line 2: found the token id 384',
    ],
    [
      'with an id outside the vocabulary, on stdin',
      async () => ['score', '--model', TINY, '--in', at('i.jsonl'), '--out', at('never.jsonl')],
      'i.jsonl line 2: input_ids[1]: found 384',
    ],
    [
      'none of which can be learnt',
      async () => finetune(TINY, await file('l.jsonl', '{"input_ids":[2,3],"labels":[-100,-100]}\n')),
      'expected at least one',
    ],
    [
      'that are no Parquet file but called so',
      async () => prepare(await file('fake.parquet', 'PAR1 but not really PAR1')),
      'fake.parquet',
    ],
    ['of an empty data set', async () => prepare(await file('none.json', '[]')), 'found no row'],
    [
      'of no known layout',
      async () => prepare(await file('layout.jsonl', '{"question":"a"}\n')),
      'none of 1 training rows is usable',
    ],
    [
      'all of which evaluation takes',
      async () => prepare(await file('few.jsonl', jsonl([conversation('get_weather')])), '--eval', '1'),
      'eval takes 1 of 1 rows',
    ],
    [
      'of text, in an evaluation',
      async () => evaluate(await file('text.jsonl', '{"text":"a"}\n')),
      'text.jsonl line 1: found a row with text, expected a row of prepare',
    ],
    [
      'of conversations without a single call, in an evaluation',
      async () => evaluate(await file('calls.jsonl', jsonl([conversation(), conversation('a', 'b')]))),
      'found 2 conversations, none of which ends in an assistant turn with exactly one call',
    ],
    [
      "of conversations, in the tutorial's format",
      async () => evaluate(await file('one.jsonl', jsonl([conversation('get_weather')])), '--format', 'tutorial'),
      'one.jsonl line 1: found a conversation, expected a row of prepare',
    ],
  ];
  it.each(cases)('%s', async (_what, words, message) => refused(await words(), message));
});

describe('a call', () => {
  const cases: Case[] = [
    ['with an unknown option', async () => finetune(TINY, 'x', '--max-stps', '1'), 'did you mean --max-steps'],
    ['with swapped letters', async () => ['score', '--modle', TINY], 'did you mean --model'],
    [
      'with a value out of range',
      async () => finetune(TINY, 'x', '--learning-rate', '-1'),
      "--learning-rate: found '-1'",
    ],
    [
      'with a TRL value that cannot be fulfilled',
      async () => finetune(TINY, 'x', '--optim', 'lion'),
      "optim is 'lion'",
    ],
    [
      'without rows',
      async () => ['finetune', '--model', TINY, '--output-dir', at('never')],
      'one of --train and --dataset',
    ],
    [
      'that evaluates on no rows',
      async () => finetune(TINY, 'x', '--evaluate', '5'),
      '--evaluate needs rows that are not trained on',
    ],
    ['without a word', async () => ['inspect'], 'DIR is missing, expected: gemmatune inspect DIR'],
    ['with a word too many', async () => ['doctor', 'now'], "found the word 'now'"],
    ['for no command', async () => ['tarin'], "'tarin' is no command"],
  ];
  it.each(cases)('%s', async (_what, words, message) => refused(await words(), message));

  it('shows the stack with --verbose', async () => {
    const { stderr } = await gemmatune(['inspect', at('nowhere'), '--verbose']);
    expect(stderr).toMatch(/\n\s+at /);
  });
});

describe('a place to write to', () => {
  beforeAll(async () => {
    await file('texts.jsonl', '{"text":"a"}\n');
    await file('ids.jsonl', '{"input_ids":[2,3,4,5]}\n');
    await file('q.jsonl', jsonl([toolRow('get_weather', '{"city": "Porto"}')]));
    await file('set.jsonl', jsonl([conversation('get_weather')]));
    await longModel(at('long'));
  });
  const train = (out: string) => ['finetune', '--model', TINY, '--train', at('ids.jsonl'), '--output-dir', out];
  const tokenize = (out: string) => ['tokenize', '--model', TINY, '--in', at('texts.jsonl'), '--out', out];

  const cases: Case[] = [
    ['that is a file', async () => train(await file('file', '')), 'a file is in the way where a folder is expected'],
    [
      'below a file',
      async () => train(`${await file('file', '')}/deep`),
      'a file is in the way where a folder is expected',
    ],
    [
      'for lines in a folder that is not there',
      async () => tokenize(at('no', 'x.jsonl')),
      'x.jsonl cannot be written: ',
    ],
    ['for lines that is a folder', async () => tokenize(at('long')), 'cannot be written: this is a folder'],
  ];
  it.each(cases)('%s', async (_what, words, message) => refused(await words(), message));

  const onProc: Case[] = [
    [
      'finetune',
      async () => train('/proc/x/y'),
      'The output folder /proc/x/y cannot be written to: /proc takes no new folder',
    ],
    [
      'prepare',
      async () => ['prepare', '--dataset', at('set.jsonl'), '--out', '/proc/x'],
      'The output folder /proc/x cannot be written to',
    ],
    ['tokenize', async () => tokenize('/proc/x.jsonl'), '/proc/x.jsonl cannot be written: '],
    [
      'evaluate',
      async () => evaluate(at('q.jsonl'), '--predictions', '/proc/p.jsonl'),
      '/proc/p.jsonl cannot be written: ',
    ],
  ];
  it.skipIf(!existsSync('/proc/self')).each(onProc)(
    'that takes no folders (/proc): %s',
    async (_what, words, message) => refused(await words(), message),
  );

  const onFull: Case[] = [
    ['tokenize', async () => tokenize('/dev/full'), '/dev/full cannot be written: no space is left on the disk'],
    [
      'evaluate',
      async () => [
        'evaluate',
        '--model',
        at('long'),
        '--rows',
        at('q.jsonl'),
        '--max-new-tokens',
        '1',
        '--predictions',
        '/dev/full',
      ],
      '/dev/full cannot be written: no space is left on the disk',
    ],
  ];
  it.skipIf(!existsSync('/dev/full')).each(onFull)('on a full disk (/dev/full): %s', async (_what, words, message) =>
    refused(await words(), message),
  );

  it('that holds a model or prepared rows keeps them', async () => {
    await mkdir(at('kept'));
    await file('kept/model.safetensors', 'mine');
    await refused(train(at('kept')), `The output folder ${at('kept')} already holds model.safetensors`);
    expect(await readdir(at('kept'))).toEqual(['model.safetensors']);
    expect(await readFile(at('kept', 'model.safetensors'), 'utf8')).toBe('mine');

    const call = ['prepare', '--dataset', at('set.jsonl'), '--out', at('prepared')];
    expect((await gemmatune(call)).status).toBe(0);
    const before = await readFile(at('prepared', 'train.jsonl'), 'utf8');
    await refused(call, 'train.jsonl: the file is already there');
    expect(await readFile(at('prepared', 'train.jsonl'), 'utf8')).toBe(before);
    expect((await gemmatune([...call, '--overwrite'])).status).toBe(0);
  });

  describe.skipIf(!canMount())('on a disk of 300 kB (a mounted tmpfs)', () => {
    /** Runs `body` with the disk mounted at `folder`. */
    async function onSmallDisk(name: string, body: (folder: string) => Promise<void>) {
      await mkdir(at(name));
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=300k', 'tmpfs', at(name)]);
      try {
        await body(at(name));
      } finally {
        execFileSync('umount', [at(name)]);
      }
    }

    it('finetune says what it could not write and leaves no half file', () =>
      onSmallDisk('disk', async (folder) => {
        const words = [...train(`${folder}/model`), '--max-steps', '1', '--save-strategy', 'no', '--dtype', 'float32'];
        const { status, stderr, stdout } = await gemmatune(words);
        expect(stderr).toMatch(/could not be written to .*\/model: .*no space/i);
        expect(status).toBe(2);
        expect(stdout).toBe('');
        expect((await readdir(`${folder}/model`)).filter((name) => name.endsWith('.safetensors'))).toEqual([]);
      }));

    it('prepare says so and keeps the rows that were there', () =>
      onSmallDisk('small', async (folder) => {
        await writeFile(`${folder}/train.jsonl`, 'mine');
        const many = jsonl(Array.from({ length: 2000 }, () => conversation('get_weather')));
        const words = ['prepare', '--dataset', await file('many.jsonl', many), '--out', folder, '--overwrite'];
        await refused(words, `${folder} cannot be written: no space is left on the disk`);
        expect(await readFile(`${folder}/train.jsonl`, 'utf8')).toBe('mine');
        expect(await readdir(folder)).toEqual(['train.jsonl']);
      }));
  });
});

describe('what is wrong with some rows only is counted', () => {
  it('malformed lines in prepare, with their numbers', async () => {
    const good = JSON.stringify(conversation('get_weather'));
    const words = prepare(await file('mixed.jsonl', `${good}\n{oops\n${good}\n[1]\n\n${good}\n`));
    const { status, stderr } = await gemmatune(words);
    expect(status).toBe(0);
    expect(stderr).toContain('Read 3 rows');
    expect(stderr).toMatch(/Skipped 2 malformed lines \(lines 2, 4: /);
    const report = JSON.parse(await readFile(at('rows', 'report.json'), 'utf8'));
    expect(report.malformed.count).toBe(2);
    expect(report.malformed.lines.map(({ line }: { line: number }) => line)).toEqual([2, 4]);
  });

  it('rows longer than the limit, in training', async () => {
    const rows = [
      { input_ids: [2, 3, 4] },
      { input_ids: new Array(20).fill(5) },
      { input_ids: new Array(20).fill(5), labels: [...new Array(19).fill(-100), 5] },
    ];
    const words = ['finetune', '--model', TINY, '--train', await file('long.jsonl', jsonl(rows)), '--max-length', '8'];
    const { status, stderr } = await gemmatune([...words, '--output-dir', at('limited'), '--max-steps', '1']);
    expect(status).toBe(0);
    expect(stderr).toContain('long.jsonl: 2 of 3 rows');
    expect(stderr).toContain('2 rows longer than max-length 8 (lines 2, 3): 1 cut, 1 left out.');
  });

  it('conversations that evaluate cannot score', async () => {
    const rows = [conversation('get_weather'), conversation('a', 'b'), conversation('get_weather'), conversation()];
    const words = [
      'evaluate',
      '--model',
      await longModel(at('roomy')),
      '--rows',
      await file('some.jsonl', jsonl(rows)),
    ];
    const { status, stdout, stderr } = await gemmatune([...words, '--max-new-tokens', '1', '--json']);
    expect(stderr).toContain('not scored: 2 conversations without exactly one call at the end (lines 2, 4)');
    expect(status).toBe(0);
    expect(JSON.parse(stdout).n_eval).toBe(2);
  });
});

/** Whether this process may mount a disk of its own. */
function canMount(): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', folder], { stdio: 'ignore' });
    execFileSync('umount', [folder]);
    return true;
  } catch {
    return false;
  }
}
