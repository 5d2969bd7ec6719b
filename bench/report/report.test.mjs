import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newest, parseResult, readResults } from '../measure/read-results.mjs';
import { report } from '../suites/report.mjs';
import { roofline, rooflines } from '../suites/roofline.mjs';
import * as fixtures from './fixtures.mjs';
import { byteRate, duration, flopRate, number, percent, settingText } from './format.mjs';
import { labels } from './labels.mjs';
import { markdown } from './markdown.mjs';
import { renderPage } from './page.mjs';
import { allBars, expectedOf } from './sections/bars.mjs';
import { machines } from './sections.mjs';
import { withPart } from './table.mjs';
import { text } from './text.mjs';

const {
  kernelsFile,
  trainFile,
  decodeFile,
  pipelineFile,
  scalingFile,
  ranksFile,
  tuneFile,
  peersFile,
  resultFile,
  MACHINE,
  contextOf,
} = fixtures;

const everything = () => [
  trainFile(0.8, { date: '2026-11-20T00:00:00.000Z', commit: 'aaa1111' }),
  kernelsFile(),
  trainFile(),
  decodeFile(),
  pipelineFile(),
  scalingFile(),
  ranksFile(),
  tuneFile(),
  peersFile(),
];

/** @type {string} */
let folder;
const silent = { note: () => {}, print: () => {} };
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gemmatune-report-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** A folder with these files, as the entry lays them out. @param {string} name @param {Record<string, string | object>} files */
async function resultsFolder(name, files) {
  const path = join(folder, name);
  await mkdir(join(path, 'machine'), { recursive: true });
  for (const [file, content] of Object.entries(files))
    await writeFile(join(path, 'machine', file), typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

describe('readResults', () => {
  it('reads the files of all folders, oldest first, and names what it skips', async () => {
    const path = await resultsFolder('read', {
      'b.json': trainFile(1, { date: '2026-11-27' }),
      'c.json': decodeFile(),
      'cut.json': '{"schema": 1,',
      'empty.json': '',
      'list.json': '[]',
      'other.json': '{"schema": 2}',
      'no-date.json': { ...trainFile(), date: 'yesterday' },
      'rows.json': { ...trainFile(), results: [1] },
      'notes.txt': 'not JSON at all',
    });
    const { results, skipped } = await readResults(path);
    expect(results.map(({ suite }) => suite)).toEqual(['train', 'decode']);
    expect(Object.fromEntries(skipped.map(({ file, reason }) => [file, reason]))).toEqual({
      'machine/cut.json': 'it is not JSON',
      'machine/empty.json': 'it is empty',
      'machine/list.json': 'schema is missing, expected 1',
      'machine/other.json': 'schema is 2, expected 1',
      'machine/no-date.json': 'date is missing or malformed, expected a date',
      'machine/rows.json': 'results is missing or malformed, expected a list of objects',
    });
  });

  it('says what a folder that is not there should hold', async () => {
    await expect(readResults(join(folder, 'none'))).rejects.toThrow(
      /none cannot be read \(ENOENT\); expected a folder of result files/,
    );
  });

  it('does not need what only the report shows', () => {
    const bare = { schema: 1, suite: 'x', date: '2026-01-01', machine: { id: 'm' }, results: [] };
    expect(parseResult(JSON.stringify(bare))).toMatchObject({ bars: [], settings: {}, machine: { id: 'm', gpus: [] } });
  });
});

describe('newest', () => {
  it('is of a full run where there is one', () => {
    const full = trainFile(1, { date: '2026-01-01' });
    const short = trainFile(1, { date: '2026-02-01', short: true });
    expect(newest([full, short], 'train')).toBe(full);
    expect(newest([short], 'train')).toBe(short);
    expect(newest([short], 'decode')).toBeUndefined();
  });
});

describe('renderPage', () => {
  it('shows every suite', async () => {
    const page = renderPage(everything());
    for (const heading of [
      'Bars: 5 of 7 met',
      'Kernels against their limit',
      'Training',
      'Generation',
      'Data, start-up, loading',
      'Cost as work grows',
      'Settings for this machine',
      'Against peers',
      'Over time',
    ])
      expect(page).toContain(`<h3>${heading}`);
    expect(page).toContain('<td class="good">met</td>');
    expect(page).toContain('<td class="bad">missed</td>');
    expect(page).not.toMatch(/NaN|undefined|null|\[object/);
  });

  it('shows where peers did not compute the same, and what was not compared', () => {
    const page = renderPage([peersFile()]);
    expect(page).toContain('<td class="bad">losses within 0.03, more than 0.001</td>');
    expect(page).toContain('99.8 % equal ids');
    expect(page).toContain('Not compared: loss completion, bf16: the time was over.');
  });

  it('needs nothing from elsewhere and runs nothing', () => {
    const page = renderPage(everything());
    expect(page).not.toMatch(/src=|url\(|@import|https?:|<script/);
    expect(page.match(/href="[^#]/)).toBeNull();
  });

  it('escapes everything that comes from a file', () => {
    const evil = '<script>alert(1)</script>"\'&';
    const spoil = (value) => {
      if (typeof value === 'string') return Number.isNaN(Date.parse(value)) || !/^\d{4}-/.test(value) ? evil : value;
      if (Array.isArray(value)) return value.map(spoil);
      if (value && typeof value === 'object')
        return Object.fromEntries(
          Object.entries(value).map(([key, each]) => [key, key === 'suite' ? each : spoil(each)]),
        );
      return value;
    };
    const page = renderPage(everything().map(spoil), [{ file: evil, reason: evil }]);
    expect(page).toContain('&lt;script&gt;');
    expect(page).not.toContain('<script');
    expect(page).not.toContain(evil);
  });

  it('does without results, and without what a suite left out', () => {
    expect(renderPage([])).toContain('There are no results yet');
    const bare = [
      'kernels',
      'train',
      'decode',
      'pipeline',
      'scaling',
      'ranks',
      'tune',
      'peers',
      'roofline',
      'unknown',
    ].map((suite) => resultFile(suite, [{}]));
    expect(renderPage(bare)).not.toMatch(/NaN|undefined|\[object/);
    const sparse = resultFile('train', [{ loss: 'full', tokensPerSecond: 10 }]);
    expect(renderPage([sparse])).not.toMatch(/NaN|undefined|null|\[object/);
  });

  it('names skipped files', () => {
    expect(renderPage([], [{ file: 'a/b.json', reason: 'it is empty' }])).toContain(
      '<code>a/b.json</code>: it is empty',
    );
  });

  it('keeps machines apart, that of the newest result first', () => {
    const other = trainFile(2, { machine: { ...MACHINE, id: 'b', cpu: 'Another' }, date: '2026-12-01T00:00:00.000Z' });
    expect(machines([...everything(), other]).map(({ machine }) => machine.id)).toEqual(['b', MACHINE.id]);
  });
});

describe('text', () => {
  const lines = text(everything()).split('\n');

  it('fits: under 80 lines of at most 100 columns, and says what it cut', () => {
    expect(lines.length).toBeLessThan(80);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
    const bars = Array.from({ length: 90 }, (_, i) => ({
      what: `bar ${i} `.repeat(30),
      bar: 1,
      value: 2,
      unit: 'x',
      met: true,
    }));
    const many = text([resultFile('train', trainFile().results, { bars }), kernelsFile()]).split('\n');
    expect(many.length).toBeLessThan(80);
    expect(Math.max(...many.map((line) => line.length))).toBeLessThanOrEqual(100);
    expect(many.join('\n')).toMatch(/… and \d+ more: `npm run bench -- report`/);
  });

  it('says which sections come from a short run', () => {
    expect(text([trainFile(1, { short: true })])).toContain('Training (short version)');
  });

  it('has numbers as people read them', () => {
    const training = lines.slice(lines.indexOf('Training'));
    expect(training[2].split(/ {2,}/)).toEqual([
      'full',
      '190',
      '23.3 s',
      '310 ms',
      '4.69 GiB',
      '71 %',
      '74 %',
      'head 52.3 %',
    ]);
  });

  it('does without results', () => expect(text([])).toContain('npm run bench'));
});

describe('markdown', () => {
  const table = markdown(everything());

  it('has bars first, then figures', () => {
    expect(table).toContain('| full-sequence training against the best TRL | ≥ 2.5x | 3.1x | met |');
    expect(table).toContain('| memory against the best TRL | ≤ 0.6x | 0.63x | **missed** |');
    expect(table.indexOf('| bar |')).toBeLessThan(table.indexOf('| figure |'));
    expect(table).toContain(
      '| against TRL, chunked_nll, full loss, amp | 3.1x the speed (2.9 to 3.4), 0.63x the memory |',
    );
  });

  it('leaves short runs out', () => {
    expect(markdown([trainFile(1, { short: true })])).toBe('Nothing was measured yet.\n');
  });

  it('stays in its cells', () => {
    const bars = [{ what: 'a|b\n<i>', bar: 1, value: 1, unit: '', met: true }];
    expect(markdown([trainFile(1, { bars })])).toContain('| a\\|b \\<i\\> | ≥ 1 | 1 | met |');
  });

  it('goes between the markers of a page, again and again', async () => {
    const page = await readFile(new URL('../../docs/benchmarks.md', import.meta.url), 'utf8');
    const once = withPart(page, 'bench', table);
    expect(once).toContain(`<!-- bench -->\n${table.trim()}\n<!-- /bench -->`);
    expect(withPart(once, 'bench', table)).toBe(once);
  });

  it('refuses a page without the place', () => {
    expect(() => withPart('# A', 'bench', table)).toThrow(
      'expected the lines <!-- bench --> and <!-- /bench --> once each',
    );
    expect(() => withPart('<!-- /bench --> <!-- bench -->', 'bench', table)).toThrow('in this order');
  });
});

describe('suite report', () => {
  it('writes the page', async () => {
    const results = await resultsFolder('suite', { 'a.json': trainFile(), 'b.json': '' });
    const out = join(folder, 'pages', 'report.html');
    /** @type {string[]} */
    const notes = [];
    const options = { results, out, markdown: false, write: false };
    await report.run(options, { ...silent, note: (line) => notes.push(line) });
    expect(await readFile(out, 'utf8')).toContain('<h3>Training');
    expect(notes).toEqual(['skipped machine/b.json: it is empty', `wrote ${out}: 1 result`]);
  });

  it('prints the table', async () => {
    const results = await resultsFolder('print', { 'a.json': trainFile() });
    /** @type {string[]} */
    const printed = [];
    const options = { results, out: '', markdown: true, write: false };
    await report.run(options, { ...silent, print: (text) => printed.push(text) });
    expect(printed.join('')).toContain('| figure | measured |');
  });

  it('refuses --write alone', async () => {
    await expect(report.run({ results: folder, out: '', markdown: false, write: true }, silent)).rejects.toThrow(
      '--markdown',
    );
  });
});

describe('suite roofline', () => {
  /** @param {string} target @param {string} results */
  const run = (target, results) => roofline.run({ target, results }, contextOf());

  it('puts the measured phases beside the modelled ones', async () => {
    const results = await resultsFolder('roofline', { 'k.json': kernelsFile(), 't.json': trainFile() });
    const { results: rows } = await run('cpu', results);
    const head = rows.find(
      ({ loss, phase, measuredSeconds }) => loss === 'full' && phase === 'head' && measuredSeconds,
    );
    // 12.2 s for the 4,432 tokens that 23.3 s at 190 tokens/s are: the model's 16 x 277.
    expect(head?.tokens).toBe(277);
    expect(head?.measuredSeconds).toBeCloseTo(12.2, 6);
    expect(head?.seconds).toBeLessThan(head?.measuredSeconds);
    expect(rows.filter(({ tokens }) => tokens === 512).every(({ measuredSeconds }) => measuredSeconds === null)).toBe(
      true,
    );
    const step = rows.find(({ loss, phase }) => loss === 'full' && phase === 'step');
    expect(step?.measuredSeconds).toBeCloseTo(4432 / 190, 6);
  });

  it('says what is missing where the limits were not measured', async () => {
    const { results: rows } = await run('cpu', join(folder, 'none'));
    expect(rows).toEqual([{ target: 'cpu', missing: expect.stringContaining('`npm run bench -- kernels` does that') }]);
  });

  it('plans two T4s, and says that none was measured', async () => {
    const { results: rows } = await run('t4x2', join(folder, 'none'));
    expect(rows).toHaveLength(64); // two workloads, two losses, four links, four designs
    for (const { note, plan, measuredSeconds } of rows) {
      expect(note).toBe('modelled: no such machine was measured');
      expect(plan.length).toBeGreaterThan(0);
      expect(measuredSeconds).toBeNull();
    }
  });

  it('is drawn by the report, of each machine whose limits were measured', async () => {
    const elsewhere = { machine: { ...MACHINE, id: 'another' } };
    const files = [kernelsFile(), trainFile(), trainFile(1, elsewhere)];
    const modelled = await rooflines(files);
    expect(modelled.map(({ suite, machine, commit }) => [suite, machine.id, commit])).toEqual([
      ['roofline', MACHINE.id, 'abc1234'],
    ]);
    const folder = await resultsFolder('drawn', { 'k.json': kernelsFile(), 't.json': trainFile() });
    const out = join(folder, 'page.html');
    await report.run({ results: folder, out, markdown: false, write: false }, silent);
    const page = await readFile(out, 'utf8');
    expect(page).toContain('reduce-scatter of the body&#39;s gradients, float32');
    expect(page).toContain('this CPU, 16 x 277 tokens');
    expect(page).not.toMatch(/NaN|undefined|\[object/);
  });

  it('refuses another target', async () => {
    await expect(run('a100', folder)).rejects.toThrow('--target is a100, expected all or one of cpu, t4, t4x2, h200');
  });
});

describe('numbers', () => {
  it.each([
    [0, '0'],
    [0.01234, '0.0123'],
    [4.5, '4.5'],
    [99.96, '100'],
    [11_777.4, '11,777'],
    [2e-4, '2.0e-4'],
    [Number.NaN, '–'],
    [undefined, '–'],
  ])('%s: %s', (value, expected) => expect(number(value)).toBe(expected));

  it('take the unit that fits', () => {
    expect([duration(0.0043), duration(41.64), duration(3e-6)]).toEqual(['4.3 ms', '41.6 s', '3 µs']);
    expect([flopRate(473e9), byteRate(21e9), percent(0.123)]).toEqual(['473 GFLOP/s', '21 GB/s', '12.3 %']);
  });

  it('settings are words', () => {
    expect(settingText({ batch: 4, recompute: null, environment: { A: 1 }, other: {}, none: undefined })).toBe(
      'batch 4, recompute default, environment A=1',
    );
  });
});

describe('labels', () => {
  it('say what differs', () => {
    expect(
      labels([
        { a: 1, b: 2 },
        { a: 1, b: 3 },
      ]),
    ).toEqual({ shared: 'a 1', own: ['b 2', 'b 3'] });
    expect(labels([{ a: 1 }])).toEqual({ shared: '', own: ['a 1'] });
  });
});

describe('expectedOf', () => {
  it('knows the better side from whether a bar is met', () => {
    const bar = (value, met) => expectedOf({ bar: 2, value, unit: 'x', met });
    expect([bar(3, true), bar(1, false), bar(1, true), bar(3, false), bar(2, true)]).toEqual([
      '≥ 2x',
      '≥ 2x',
      '≤ 2x',
      '≤ 2x',
      '≥ 2x',
    ]);
  });
  it('keeps suite and date', () => {
    expect(allBars([pipelineFile()])[0]).toMatchObject({ suite: 'pipeline', unit: 's', short: false });
  });
});
