import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseExactJson, printExactJson } from '@gemmatune/schema';
import { describe, expect, it } from 'vitest';
import { type PreparedRow, prepare } from './prepare.js';
import { prepareFiles } from './prepare-files.js';
import { scratch } from './scratch.case.js';
import { present, shared } from './shared-data.case.js';
import { readTrainingRows } from './training-rows.js';
import { writePrepared } from './write-prepared.js';

function file(lines: string[]): string {
  const path = join(scratch(), 'rows.jsonl');
  writeFileSync(path, lines.join('\n'));
  return path;
}

/** sha256 of the rows as counts.json defines it. */
function hash(rows: PreparedRow[]): string {
  const text = rows.map(({ json }) => printExactJson(parseExactJson(json), { compact: true })).join('\n');
  return createHash('sha256').update(text).digest('hex');
}

describe.each([
  ['hermes_style', 'train.parquet'],
  ['hermes_style', 'train.jsonl'],
  ['hermes_real', 'rows.parquet'],
])("the tutorial's run on shared data %s/%s", (folder, name) => {
  it.skipIf(!present(`${folder}/${name}`))('gives its rows', async () => {
    const { tutorial_run: run } = JSON.parse(readFileSync(shared(`${folder}/counts.json`), 'utf8'));
    const path = shared(`${folder}/${name}`);
    const {
      train,
      eval: evaluation,
      report,
    } = await prepare(path, { seed: run.seed, take: run.n_total, eval: run.n_eval });
    expect(train).toHaveLength(run.usable_train);
    expect(evaluation).toHaveLength(run.usable_eval);
    expect(JSON.parse(train[0]!.json).user_content).toBe(run.first_train_user_content);
    expect(hash(train)).toBe(run.train_rows_sha256);
    expect(hash(evaluation)).toBe(run.eval_rows_sha256);
    expect(report.train.rows).toBe(run.n_train);
    expect(report.taken).toBe(run.n_total);
  });
});

const STYLE = 'hermes_style/train.jsonl';
describe.skipIf(!present(STYLE))(`shared data ${STYLE}`, () => {
  it('counts every reason over all rows', async () => {
    const counts = JSON.parse(readFileSync(shared('hermes_style/counts.json'), 'utf8'));
    const { report } = await prepare(shared(STYLE));
    const { dropped } = report.train;
    expect(report).toMatchObject({ read: counts.rows, taken: counts.rows, eval: { rows: 0, usable: 0 } });
    expect(report.train.usable).toBe(counts.usable);
    expect(dropped.no_gold.count).toBe(counts.why.no_gold);
    expect(dropped.gold_not_in_tools.count).toBe(counts.why.gold_not_in_tools);
    expect(dropped.no_tools.count).toBe(counts.why.no_tools);
    expect(dropped.unreadable.count).toBe(0);
  });

  it('writes rows that read back as training rows', async () => {
    const folder = join(scratch(), 'deep', 'out');
    const prepared = await prepare(shared(STYLE), { take: 1000, eval: 100 });
    await writePrepared(folder, prepared);
    expect(readdirSync(folder).sort()).toEqual(['eval.jsonl', 'report.json', 'train.jsonl']);
    expect(readFileSync(join(folder, 'train.jsonl'), 'utf8')).toBe(
      prepared.train.map(({ json }) => `${json}\n`).join(''),
    );
    expect(JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'))).toEqual(prepared.report);
    let rows = 0;
    for await (const { row } of readTrainingRows(join(folder, 'eval.jsonl'))) {
      expect(Object.keys(row)).toEqual(['user_content', 'tool_name', 'tool_arguments', 'hf_tools']);
      rows++;
    }
    expect(rows).toBe(49);
  });
});

const hermesLine = (n: number, call = `{"name": "f", "arguments": {"n": ${n}}}`): string =>
  JSON.stringify({
    conversations: [
      { from: 'human', value: `question ${n}` },
      { from: 'gpt', value: `<tool_call>\n${call}\n</tool_call>` },
    ],
    tools: '[{"name": "f", "parameters": {"n": {"type": "int"}}}]',
    task: `question ${n}`,
  });

describe('prepare', () => {
  it('skips malformed lines before the shuffle and names them', async () => {
    const good = Array.from({ length: 10 }, (_, i) => hermesLine(i));
    const path = file([...good.slice(0, 3), '{"conversations": [', ...good.slice(3), 'null']);
    const clean = await prepare(file(good), { take: 6, eval: 2 });
    const { train, eval: evaluation, report } = await prepare(path, { take: 6, eval: 2 });
    expect(train.map(({ json }) => json)).toEqual(clean.train.map(({ json }) => json));
    // numpy.random.default_rng(40).permutation(10) begins 1 7 8 5 3 4; rows from the fourth on lie one line lower.
    expect(train.map(({ line }) => line)).toEqual([2, 9, 10, 7]);
    expect(evaluation.map(({ line }) => line)).toEqual([5, 6]);
    expect(report.malformed).toEqual({
      count: 2,
      lines: [
        { line: 4, reason: 'not JSON: the end where a value was expected (character 20)' },
        { line: 12, reason: 'found null, expected an object' },
      ],
    });
    expect(report).toMatchObject({ source: [path], seed: 40, read: 10, taken: 6, train: { rows: 4, usable: 4 } });
  });

  it('reads several files one after another, and takes what there is', async () => {
    const { report } = await prepare([file([hermesLine(1)]), file([hermesLine(2), hermesLine(3)])], { take: 3000 });
    expect(report).toMatchObject({ read: 3, taken: 3 });
  });

  it('names dropped rows', async () => {
    const { report } = await prepare(
      file([hermesLine(1), hermesLine(2, '{"name": "g", "arguments": {}}'), '{"a": 1}']),
    );
    expect(report.train.dropped.gold_not_in_tools).toEqual({ count: 1, examples: [{ line: 2 }] });
    expect(report.train.dropped.unreadable).toEqual({
      count: 1,
      examples: [{ line: 3, detail: 'the columns a are of no known layout' }],
    });
  });

  it('refuses what leaves nothing to train on, and wrong options', async () => {
    const path = file([hermesLine(1), hermesLine(2)]);
    await expect(prepare(path, { eval: 2 })).rejects.toThrow(`${path}: eval takes 2 of 2 rows`);
    await expect(prepare(path, { take: 0 })).rejects.toThrow('take: found 0, expected a whole number of at least 1.');
    await expect(prepare(path, { seed: 1.5 })).rejects.toThrow('seed: found 1.5');
    await expect(prepare(file(['']))).rejects.toThrow('found an empty file');
    await expect(prepare(file(['nothing']))).rejects.toThrow('found no row, expected at least one.');
    const useless = file(['{"text": "t"}']);
    await expect(prepare(useless)).rejects.toThrow(
      `${useless}: none of 1 training rows is usable (1 unreadable; the columns text are of no known layout).`,
    );
  });
});

describe('writePrepared', () => {
  it('refuses to write over rows unless allowed, and leaves no evaluation side of an earlier run', async () => {
    const folder = scratch();
    const path = file([hermesLine(1), hermesLine(2)]);
    await writePrepared(folder, await prepare(path, { eval: 1 }));
    const before = readFileSync(join(folder, 'train.jsonl'), 'utf8');
    const all = await prepare(path);
    await expect(writePrepared(folder, all)).rejects.toThrow(
      `${join(folder, 'train.jsonl')}: the file is already there`,
    );
    expect(readFileSync(join(folder, 'train.jsonl'), 'utf8')).toBe(before);
    await writePrepared(folder, all, { overwrite: true });
    expect(existsSync(join(folder, 'eval.jsonl'))).toBe(false);
    expect(readFileSync(join(folder, 'train.jsonl'), 'utf8').split('\n')).toHaveLength(3);
    expect(readdirSync(folder).sort()).toEqual(['report.json', 'train.jsonl']);
  });
});

describe('prepareFiles', () => {
  const filesOf = (folder: string) =>
    Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]));

  it('writes the files of prepare and writePrepared', async () => {
    const lines = Array.from({ length: 300 }, (_, n) => hermesLine(n));
    // Texts longer than a piece, details of dropped rows, a character of four bytes, a lone surrogate.
    lines[7] = hermesLine(7, `{"name": "f", "arguments": {"n": "${'long'.repeat(400_000)}"}}`);
    lines[8] = hermesLine(8, `{"name": "f", "arguments": {"n": "😀 \\ud800"}}`);
    lines[9] = '{"a": 1}';
    lines[10] = 'no row';
    const path = file(lines);
    const [inMemory, onDisk] = [scratch(), join(scratch(), 'made', 'here')];
    const options = { seed: 3, take: 290, eval: 140 };
    const prepared = await prepare(path, options);
    await writePrepared(inMemory, prepared);
    expect(await prepareFiles(path, onDisk, options)).toEqual(prepared.report);
    expect(filesOf(onDisk)).toEqual(filesOf(inMemory));
    expect(prepared.report.train.usable + prepared.report.eval.usable).toBeGreaterThan(285);
  });

  it('refuses to write over rows before it reads, unless allowed', async () => {
    const folder = scratch();
    const path = file([hermesLine(1), hermesLine(2)]);
    await prepareFiles(path, folder, { eval: 1 });
    await expect(prepareFiles(join(folder, 'nowhere.jsonl'), folder)).rejects.toThrow(
      `${join(folder, 'train.jsonl')}: the file is already there`,
    );
    await prepareFiles(path, folder, { overwrite: true });
    expect(readdirSync(folder).sort()).toEqual(['report.json', 'train.jsonl']);
  });

  it('leaves nothing behind where it fails', async () => {
    const folder = scratch();
    const path = file([hermesLine(1), hermesLine(2)]);
    await expect(prepareFiles(path, join(folder, 'a', 'b'), { eval: 2 })).rejects.toThrow('eval takes 2 of 2 rows');
    await expect(prepareFiles(path, folder, { eval: 2 })).rejects.toThrow('eval takes 2 of 2 rows');
    expect(readdirSync(folder)).toEqual([]);
  });
});
