/** The commands as a caller sees them: streams, files and exit status, on the tiny golden model. */
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Screen } from './command.js';
import { main } from './main.js';
import { Captured, gemmatune, golden, jsonl, lines, longModel, TINY, toolRow, workFolder } from './program.case.js';

const { folder, at } = workFolder();

describe('dispatch', () => {
  it('shows help and version', async () => {
    const help = await gemmatune(['--help']);
    expect(help.status).toBe(0);
    for (const name of ['quickstart', 'prepare', 'render', 'tokenize', 'score', 'generate', 'finetune', 'evaluate'])
      expect(help.stdout).toContain(`  ${name} `);
    expect((await gemmatune(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    const own = await gemmatune(['finetune', '--help']);
    expect(own.status).toBe(0);
    expect(own.stdout).toContain('--learning-rate');
    expect(own.stdout).toContain('[by the number of rows; 0.00002 with compat trl]');
    expect(own.stdout).toContain('--output-dir');
  });

  it('suggests the command that was meant', async () => {
    expect(await gemmatune(['finetun'])).toEqual({
      status: 2,
      stdout: '',
      stderr: "gemmatune: 'finetun' is no command; did you mean finetune?\n",
    });
  });
});

describe('tokenize', () => {
  it('keeps order, adds <bos> unless told not to, and skips blank lines', async () => {
    const input = '{"text":"Set the light"}\n\n{"text":"<bos>Set"}';
    const { stdout, status } = await gemmatune(['tokenize', '--model', TINY], { input });
    expect(status).toBe(0);
    const [first, second] = lines(stdout);
    expect(first.input_ids[0]).toBe(2);
    expect(second.input_ids.slice(0, 2)).toEqual([2, 2]);
    const bare = await gemmatune(['tokenize', '--model', TINY, '--no-special-tokens'], { input });
    expect(lines(bare.stdout).map(({ input_ids }) => input_ids)).toEqual([
      first.input_ids.slice(1),
      second.input_ids.slice(1),
    ]);
  });

  it('answers the lines before a wrong one, then names it', async () => {
    const { status, stdout, stderr } = await gemmatune(['tokenize', '--model', TINY], {
      input: '{"text":"a"}\n{"text":5}\n{"text":"b"}\n',
    });
    expect(status).toBe(2);
    expect(lines(stdout)).toHaveLength(1);
    expect(stderr).toBe('gemmatune tokenize: standard input line 2: text is 5, expected a text.\n');
  });

  it('answers each line before the next one comes', async () => {
    const stdout = new Captured();
    let answered = 0;
    async function* conversation() {
      yield Buffer.from('{"text":"a"}\n{"te');
      await new Promise((resolve) => setTimeout(resolve, 50));
      answered = stdout.text.split('\n').length - 1;
      yield Buffer.from('xt":"b"}\n');
    }
    const stdin = Readable.from(conversation());
    const io = {
      stdin,
      stdout: stdout as Screen,
      stderr: new Captured() as Screen,
      signal: new AbortController().signal,
    };
    expect(await main(['tokenize', '--model', TINY], io)).toBe(0);
    expect(answered).toBe(1);
    expect(lines(stdout.text)).toHaveLength(2);
  });

  it('writes --out whole or not at all', async () => {
    await writeFile(at('texts.jsonl'), '{"text":"a"}\n');
    const call = ['tokenize', '--model', TINY, '--in', at('texts.jsonl'), '--out', at('ids.jsonl')];
    expect(await gemmatune(call)).toMatchObject({ status: 0, stdout: '' });
    const before = await readFile(at('ids.jsonl'), 'utf8');
    expect(lines(before)).toHaveLength(1);
    await writeFile(at('texts.jsonl'), '{"text":"b"}\nnonsense\n');
    const { status, stderr } = await gemmatune([...call, '--overwrite']);
    expect(status).toBe(2);
    expect(stderr).toContain(`${at('texts.jsonl')} line 2: `);
    expect(await readFile(at('ids.jsonl'), 'utf8')).toBe(before);
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('render', () => {
  it('renders by the template and does not add a second <bos>', async () => {
    const row = { messages: [{ role: 'user', content: 'Hi' }], add_generation_prompt: true };
    const { stdout, status } = await gemmatune(['render', '--model', TINY], { input: jsonl([row]) });
    expect(status).toBe(0);
    const [{ text, input_ids }] = lines(stdout);
    expect(text).toBe('<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n');
    expect(input_ids[0]).toBe(2);
    expect(input_ids[1]).not.toBe(2);
  });

  it.each([
    ['{"messages":[]}', 'messages is [], expected a list of at least one message'],
    ['{"messages":[{"content":"x"}]}', 'messages[0].role is nothing, expected a text'],
    ['{"messages":[{"role":"user"}],"add_generation_prompt":1}', 'add_generation_prompt is 1, expected true or false'],
    ['{"messages"', 'expected a JSON object'],
  ])('refuses %s', async (input, message) => {
    const { status, stderr } = await gemmatune(['render', '--model', TINY], { input });
    expect(status).toBe(2);
    expect(stderr).toContain('standard input line 1: ');
    expect(stderr).toContain(message);
  });
});

describe('score and generate', () => {
  it('scores as transformers does, whatever lines come together', async () => {
    const { sequences } = golden('forward.json') as {
      sequences: { ids: number[]; labels: number[]; logprobs: number[] }[];
    };
    const input = jsonl(sequences.map(({ ids, labels }) => ({ input_ids: ids, labels })));
    const { stdout, status } = await gemmatune(['score', '--model', TINY, '--dtype', 'float32'], { input });
    expect(status).toBe(0);
    const results = lines(stdout);
    expect(results).toHaveLength(sequences.length);
    for (const [i, { ids, labels, logprobs }] of sequences.entries()) {
      const expected = ids.map((_, t) => (t + 1 < ids.length && labels[t + 1] !== -100 ? logprobs[t]! : null));
      const targets = expected.filter((p) => p !== null);
      expect(results[i].logprobs.map((p: number | null) => p !== null)).toEqual(expected.map((p) => p !== null));
      results[i].logprobs.forEach((p: number | null, t: number) => {
        if (p !== null) expect(p).toBeCloseTo(expected[t]!, 4);
      });
      if (targets.length === 0) expect(results[i].loss).toBeNull();
      else expect(results[i].loss).toBeCloseTo(-targets.reduce((a, b) => a + b) / targets.length, 5);
    }
  });

  it('generates as transformers does, without a tokenizer in the folder', async () => {
    await mkdir(at('bare'), { recursive: true });
    for (const name of ['config.json', 'model.safetensors']) await cp(join(TINY, name), at('bare', name));
    const { prompts, maxNewTokens } = golden('generation.json');
    const input = jsonl(prompts.map(({ prompt }: { prompt: number[] }) => ({ input_ids: prompt })));
    const call = ['generate', '--model', at('bare'), '--dtype', 'float32', '--max-new-tokens', String(maxNewTokens)];
    const { stdout, status } = await gemmatune(call, { input });
    expect(status).toBe(0);
    expect(lines(stdout)).toEqual(prompts.map(({ greedy }: { greedy: number[] }) => ({ output_ids: greedy })));
  });

  it('takes prompts and conversations, and answers with text', async () => {
    const input = jsonl([{ prompt: 'Set' }, { messages: [{ role: 'user', content: 'Set' }] }, { input_ids: [2, 5] }]);
    const { stdout, status } = await gemmatune(['generate', '--model', TINY, '--max-new-tokens', '4'], { input });
    expect(status).toBe(0);
    for (const { output_ids, text } of lines(stdout)) {
      expect(output_ids.length).toBeGreaterThan(0);
      expect(typeof text).toBe('string');
    }
  });

  it.each([
    ['score', '{"input_ids":[2,384]}', 'input_ids[1]: found 384, expected an id from 0 to 383'],
    ['score', '{"input_ids":[2,3],"labels":[-100,999]}', 'labels[1]: found 999'],
    ['score', '{"input_ids":[2,3],"labels":[1]}', 'labels has 1 entries, expected 2'],
    ['score', '{"input_ids":[]}', 'input_ids is empty'],
    ['score', '{"text":"a"}', 'found no input_ids'],
    ['generate', '{"input_ids":["a"]}', "input_ids[0]: found 'a', expected an integer"],
    ['generate', '{"question":"a"}', 'found the keys question, expected {input_ids}, {prompt} or {messages, tools}'],
  ])('%s refuses %s', async (command, input, message) => {
    const { status, stdout, stderr } = await gemmatune([command, '--model', TINY], { input });
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain('standard input line 1: ');
    expect(stderr).toContain(message);
  });
});

describe('finetune', () => {
  // Learnable: each row repeats one id.
  const rows = Array.from({ length: 24 }, (_, i) => ({ input_ids: [2, ...new Array(8).fill(10 + (i % 6))] }));
  const call = (out: string, ...more: string[]) => [
    ...['finetune', '--model', at('bare'), '--train', at('train.jsonl'), '--output-dir', at(out), '--dtype', 'float32'],
    ...['--per_device_train_batch_size', '4', '--learning-rate', '0.01', '--max-steps', '6', '--logging-steps', '1'],
    ...['--save-steps', '2', '--json', ...more],
  ];
  beforeAll(async () => {
    await writeFile(at('train.jsonl'), jsonl(rows));
    await mkdir(at('bare'), { recursive: true });
    for (const name of ['config.json', 'model.safetensors']) await cp(join(TINY, name), at('bare', name));
  });

  it('trains, and writes the model, its state, checkpoints and a report', async () => {
    const { status, stdout, stderr } = await gemmatune(call('run', '--bf16', 'true'));
    expect(stderr).toContain('bf16 has no effect here');
    expect(stderr).toContain('24 of 24 rows, 216 tokens, 192 of them to learn');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      status: 'completed',
      output_dir: at('run'),
      global_step: 6,
      train_rows: 24,
    });
    expect(await readdir(at('run'))).toEqual(
      expect.arrayContaining([
        'checkpoint-2',
        'checkpoint-6',
        'config.json',
        'model.safetensors',
        'report.html',
        'gemmatune.json',
      ]),
    );
    const { log_history } = JSON.parse(await readFile(at('run', 'trainer_state.json'), 'utf8'));
    expect(log_history).toHaveLength(7);
    expect(log_history[5].loss).toBeLessThan(log_history[0].loss);
    expect(await readFile(at('run', 'report.html'), 'utf8')).toContain('<svg ');
  });

  it('computes in passes of --tokens-per-pass tokens, with the same log', async () => {
    const { status, stderr } = await gemmatune(call('passes', '--tokens-per-pass', '20'));
    expect(stderr).toContain('Plan: up to 2 passes of up to 18 tokens an update.\n');
    expect(status).toBe(0);
    const history = async (run: string) =>
      JSON.parse(await readFile(at(run, 'trainer_state.json'), 'utf8')).log_history.slice(0, 6);
    for (const [i, row] of (await history('run')).entries())
      for (const [key, value] of Object.entries<number>(row)) {
        const got = (await history('passes'))[i][key];
        expect(Math.abs(got - value), `${key} of update ${i + 1}`).toBeLessThanOrEqual(1e-4 * Math.abs(value));
      }
    expect(await readFile(at('passes', 'report.html'), 'utf8')).toContain('up to 2 passes of up to 18 tokens');
    const refused = await gemmatune(call('short', '--tokens-per-pass', '8'));
    expect(refused.status).toBe(2);
    expect(refused.stderr).toContain('--tokens-per-pass is 8, but the longest row has 9 tokens');
  });

  it.each([
    ['elementwise', ['--recompute', 'elementwise'], 'norms, rope and GeGLU recomputed'],
    ['blocks', ['--gradient-checkpointing'], 'whole blocks recomputed'],
  ])('recomputes %s where it is told to, with the same weights', async (mode, words, told) => {
    const passes = ['--tokens-per-pass', '20'];
    if (!existsSync(at('kept'))) await gemmatune(call('kept', ...passes));
    const { status, stderr } = await gemmatune(call(mode, ...passes, ...words));
    expect(status, stderr).toBe(0);
    expect(stderr).toContain(`Plan: up to 2 passes of up to 18 tokens an update; ${told}.\n`);
    expect(await readFile(at(mode, 'model.safetensors'))).toEqual(await readFile(at('kept', 'model.safetensors')));
  });

  it('refuses to write over a model, and does with --overwrite', async () => {
    const before = await readFile(at('run', 'model.safetensors'));
    await rm(at('run', 'trial.json')); // as if another program had written it
    const refused = await gemmatune(call('run'));
    expect(refused.status).toBe(2);
    expect(refused.stderr).toContain(`The output folder ${at('run')} already holds checkpoint-2`);
    expect(await readFile(at('run', 'model.safetensors'))).toEqual(before);
    expect((await gemmatune(call('run', '--overwrite', '--seed', '1'))).status).toBe(0);
    expect(await readFile(at('run', 'model.safetensors'))).not.toEqual(before);
  });

  it('stops cleanly on Ctrl-C, and --resume ends where an undisturbed run does', async () => {
    expect((await gemmatune(call('whole'))).status).toBe(0);
    const stopped = await gemmatune(call('parts'), { abortOn: 'step 3 ' });
    expect(stopped.status).toBe(130);
    expect(JSON.parse(stopped.stdout)).toMatchObject({ status: 'interrupted', folder: at('parts', 'checkpoint-3') });
    expect(existsSync(at('parts', 'model.safetensors'))).toBe(false);
    const resumed = await gemmatune(call('parts', '--resume'));
    expect(resumed.stderr).toContain(`Continuing from ${at('parts', 'checkpoint-3')}, update 3.`);
    expect(resumed.status).toBe(0);
    expect(await readFile(at('parts', 'model.safetensors'))).toEqual(await readFile(at('whole', 'model.safetensors')));
  });

  it('takes options from a file, which the call overrides', async () => {
    await writeFile(at('c.json'), JSON.stringify({ max_steps: 5, warmup_ratio: 0.5, outputDir: at('configured') }));
    const words = [
      'finetune',
      '--model',
      at('bare'),
      '--train',
      at('train.jsonl'),
      '--config',
      at('c.json'),
      '--max-steps',
      '1',
    ];
    expect((await gemmatune(words)).status).toBe(0);
    const { settings } = JSON.parse(await readFile(at('configured', 'gemmatune.json'), 'utf8'));
    expect(settings).toMatchObject({ maxSteps: 1, warmupRatio: 0.5 });
  });
});

describe('rows of tools', () => {
  it('lint counts each problem with its lines', async () => {
    await writeFile(
      at('lint.jsonl'),
      `${jsonl([
        toolRow('get_weather', '{"city": "Porto"}'),
        toolRow('get_weather', '{"city": "Porto"}'),
        toolRow('get_time', '{"city": "Porto"}', 'a'),
        toolRow('get_weather', '{}', 'b'),
        toolRow('get_weather', '{"city": 5}', 'c'),
        { tool_name: 5 },
      ])}nonsense\n`,
    );
    const { status, stdout } = await gemmatune(['lint', '--model', TINY, '--rows', at('lint.jsonl'), '--json']);
    expect(status).toBe(0);
    const { rows, problems } = JSON.parse(stdout);
    expect(rows).toBe(6);
    const found = Object.fromEntries(
      problems.map(({ kind, lines: where }: { kind: string; lines: number[] }) => [kind, where]),
    );
    expect(found).toEqual({
      malformed_line: [7],
      unreadable_row: [6],
      duplicate: [2],
      unknown_tool: [3],
      missing_argument: [4],
      invalid_arguments: [5],
    });
    const strict = await gemmatune([
      'lint',
      '--model',
      TINY,
      '--rows',
      at('lint.jsonl'),
      '--max-length',
      '16',
      '--strict',
    ]);
    expect(strict.status).toBe(1);
    expect(strict.stdout).toContain('loses a part of its answer at max-length');
  });

  it('evaluate and predict show generations beside the gold calls', async () => {
    await writeFile(
      at('eval.jsonl'),
      jsonl([toolRow('get_weather', '{"city": "Porto"}'), toolRow('get_weather', '{"city": "Faro"}')]),
    );
    await longModel(at('long'));
    const common = ['--model', at('long'), '--rows', at('eval.jsonl'), '--max-new-tokens', '2', '--dtype', 'float32'];
    const { status, stdout } = await gemmatune(['evaluate', ...common, '--json', '--predictions', at('p.jsonl')]);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ n_eval: 2, tool_accuracy: 0, tc_cer: 1, parse_rate: 0 });
    expect(lines(await readFile(at('p.jsonl'), 'utf8'))[1]).toMatchObject({
      index: 1,
      gold: { name: 'get_weather', arguments: { city: 'Faro' } },
      gold_text: '<start_function_call>call:get_weather{city:<escape>Faro<escape>}<end_function_call>',
      calls: [],
    });
    const shown = await gemmatune(['predict', ...common, '--index', '1']);
    expect(shown.stdout).toContain('Weather in Porto?');
    expect(shown.stdout).toMatch(/prediction\s+\| gold/);
    const beyond = await gemmatune(['predict', ...common, '--index', '2']);
    expect(beyond.stderr).toContain('found 2 rows, expected more than --index 2');
    expect(beyond.status).toBe(2);
  });
});

describe('conversations that end in one call', () => {
  const [declaration] = toolRow('', '{}').hf_tools;
  const row = {
    metadata: 'eval',
    tools: [{ function: declaration!.function }],
    messages: [
      { role: 'developer', content: 'Today is 2024-10-20.' },
      { role: 'user', content: 'Weather in Porto?' },
      {
        role: 'assistant',
        tool_calls: [{ function: { name: 'get_weather', arguments: '{"city": "Porto", "days": 2.0}' } }],
      },
    ],
  };
  beforeAll(async () => {
    await longModel(at('asked'));
    await writeFile(at('chat.jsonl'), jsonl([row, toolRow('get_weather', '{"city": "Faro"}')]));
  });
  const common = () => [
    '--model',
    at('asked'),
    '--rows',
    at('chat.jsonl'),
    '--max-new-tokens',
    '2',
    '--dtype',
    'float32',
  ];

  it('are scored beside rows of prepare', async () => {
    const { status, stdout } = await gemmatune([
      'evaluate',
      ...common(),
      '--json',
      '--predictions',
      at('chat-p.jsonl'),
    ]);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ n_eval: 2, tool_accuracy: 0 });
    const [asked, prepared] = lines(await readFile(at('chat-p.jsonl'), 'utf8'));
    expect(asked).toMatchObject({
      user_content: 'Weather in Porto?',
      gold_text: '<start_function_call>call:get_weather{city:<escape>Porto<escape>,days:2.0}<end_function_call>',
    });
    expect(prepared.gold).toEqual({ name: 'get_weather', arguments: { city: 'Faro' } });
  });

  it('are asked with their own developer turn', async () => {
    const shown = await gemmatune(['predict', ...common(), '--index', '0', '--json']);
    const { prompt } = JSON.parse(shown.stdout);
    expect(prompt).toContain('<start_of_turn>developer\nToday is 2024-10-20.');
    expect(prompt).toMatch(/Weather in Porto\?<end_of_turn>\n<start_of_turn>model\n$/);
  });
});

const MOBILE = fileURLToPath(new URL('../../../../shared/data/siblings/mobile_actions.jsonl', import.meta.url));
describe.skipIf(!existsSync(MOBILE))('shared data siblings/mobile_actions.jsonl', () => {
  it('is evaluated as it is, but for the row of two calls', async () => {
    await longModel(at('mobile'), 8192);
    const words = ['evaluate', '--model', at('mobile'), '--rows', MOBILE, '--max-new-tokens', '1', '--json'];
    const { status, stdout, stderr } = await gemmatune(words);
    expect(status).toBe(0);
    expect(stderr).toContain('not scored: 1 conversation without exactly one call at the end (line 3)');
    expect(JSON.parse(stdout).n_eval).toBe(2);
  });
});

describe('inspect and doctor', () => {
  it('tells shapes, parameters, files, tokenizer and memory', async () => {
    const { status, stdout } = await gemmatune(['inspect', TINY, '--json']);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      vocabSize: 384,
      layerTypes: 'sliding full sliding full',
      dtype: 'float32',
      parameters: 105392,
      files: [{ name: 'model.safetensors', dtypes: ['float32'], tensors: 54, bytes: 4 * 105392 }],
      tokenizer: 'BPE, 384 tokens',
    });
    expect(JSON.parse(stdout).memory.float32.training).toBeGreaterThan(16 * 105392);
  });

  it('lists every shard, and with --check reads them', async () => {
    const shards = join(TINY, '../gqa');
    const { stdout } = await gemmatune(['inspect', shards]);
    for (let i = 1; i <= 6; i++)
      expect(stdout).toMatch(new RegExp(`model-0000${i}-of-00006\\.safetensors +\\d+ tensors in `));
    expect((await gemmatune(['inspect', shards, '--check'])).status).toBe(0);
  });

  it('never shows the token', async () => {
    process.env.HF_TOKEN = 'hf_secretsecret';
    try {
      const { status, stdout } = await gemmatune(['doctor', '--json']);
      expect(status).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ node: process.version, hugging_face_token: 'found in HF_TOKEN' });
      expect(stdout).not.toContain('secretsecret');
    } finally {
      delete process.env.HF_TOKEN;
    }
  });
});

const assets = fileURLToPath(new URL('../assets/quickstart', import.meta.url));
describe.skipIf(!existsSync(join(assets, 'model', 'model.safetensors')))('quickstart (bundled model)', () => {
  it('evaluates, trains and evaluates again, into a folder of its own', async () => {
    const call = ['quickstart', '--output-dir', at('quick'), '--max-steps', '2', '--n', '2', '--json'];
    const { status, stdout } = await gemmatune(call);
    expect(status).toBe(0);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ status: 'completed', global_step: 2, before: { n_eval: 2 }, after: { n_eval: 2 } });
    expect(existsSync(at('quick', 'report.html'))).toBe(true);
    const again = await gemmatune(call);
    expect(JSON.parse(again.stdout)).toEqual({ ...result, already: true });
    const another = await gemmatune([...call, '--max-steps', '1']);
    expect(another.status).toBe(2);
    expect(another.stderr).toContain('Choose another folder, or set --overwrite to replace it.');
  });
});
