import { describe, expect, it } from 'vitest';
import { ticks } from './axis.js';
import { html } from './html.js';
import { type LineChart, lineChart, lineFile } from './line-chart.js';
import { reportPage, seriesOf } from './page.js';

const logHistory = [
  { loss: 2, grad_norm: 1, learning_rate: 0.01, mean_token_accuracy: 0.1, epoch: 0.5, step: 1 },
  { eval_loss: 1.5, eval_mean_token_accuracy: 0.4, epoch: 1, step: 2 },
  { loss: null, grad_norm: 2, learning_rate: 0, mean_token_accuracy: 0.3, epoch: 1, step: 2 },
  { train_runtime: 1, train_loss: 1.5, epoch: 1, step: 2 },
];

describe('reportPage', () => {
  const page = reportPage({
    title: 'Fine-tuning <script>alert(1)</script>',
    facts: { 'base model': '"a" & b', rows: 3 },
    logHistory,
    settings: { learningRate: 0.01, loss: '<b>' },
    before: { tool_accuracy: 0.5, tc_cer: 0.2, exact_match: null },
    after: { tool_accuracy: 0.9, tc_cer: 0.4, exact_match: 0.1 },
  });

  it('escapes everything that came from outside', () => {
    expect(page).not.toContain('<script>');
    expect(page).toContain('Fine-tuning &lt;script&gt;alert(1)&lt;/script&gt;');
    expect(page).toContain('&quot;a&quot; &amp; b');
    expect(page).toContain('<td>&lt;b&gt;</td>');
  });

  it('needs nothing from elsewhere', () => {
    expect(page).not.toMatch(/(src|href)=|url\(|@import|https?:/);
  });

  it('plots loss, accuracy, learning rate and gradient norm', () => {
    expect(page.match(/<svg /g)).toHaveLength(4);
    expect(page).toContain('<i class="s1"></i>evaluation');
    expect(page).toContain('<title>training: 2 (step 1)</title>');
  });

  it('says what got better and what got worse', () => {
    const row = (gain: string, title: string, ...cells: string[]) =>
      `<tr class="${gain}"><th scope="row">${title}</th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
    expect(page).toContain(row('better', 'right tool', '50.0 %', '90.0 %', '+40.0', 'better'));
    const errors = 'character errors of the call (TC-CER) <small>(lower is better)</small>';
    expect(page).toContain(row('worse', errors, '20.0 %', '40.0 %', '+20.0', 'worse'));
    expect(page).toContain(row('same', 'exactly the gold call', '-', '10.0 %', '-', ''));
  });

  it('does without metrics and logs', () => {
    const bare = reportPage({ title: 't', facts: {}, logHistory: [], settings: {} });
    expect(bare).not.toContain('Before and after');
    expect(bare).toContain('Nothing was logged.');
  });
});

describe('seriesOf', () => {
  it('leaves out rows without the key and numbers that were not finite', () => {
    expect(seriesOf(logHistory, 'loss')).toEqual({ name: 'training', points: [{ x: 1, y: 2 }] });
    expect(seriesOf(logHistory, 'eval_loss')).toEqual({ name: 'evaluation', points: [{ x: 2, y: 1.5 }] });
  });
});

const drawn = (points: readonly (readonly [x: number, y: number])[], more: Partial<LineChart> = {}) =>
  String(
    lineChart({ title: 'a', x: 'x', series: [{ name: 'a', points: points.map(([x, y]) => ({ x, y })) }], ...more }),
  );
/** What is written at the axis of x, from the left, and of y, from below. */
const written = (svg: string) => ({
  x: [...svg.matchAll(/<text x="[\d.]+" y="200" text-anchor="middle">([^<]*)</g)].map(([, text]) => text),
  y: [...svg.matchAll(/dy="0.32em">([^<]*)</g)].map(([, text]) => text),
});

describe('lineChart', () => {
  it('puts the axes round the values', () => {
    // x from 58 to 432, y from 184 (low) to 10 (high).
    expect(
      drawn([
        [0, 0],
        [10, 1],
      ]),
    ).toContain('points="58,184 432,10"');
  });

  it('begins at zero where it is told to', () => {
    const points = [
      [0, 8],
      [1, 10],
    ] as const;
    expect(written(drawn(points)).y).toEqual(['8', '8.5', '9', '9.5', '10']);
    expect(written(drawn(points, { fromZero: true })).y).toEqual(['0', '5', '10']);
  });

  it('writes the values of a logarithmic axis, and those of which more is known, as far as there is room', () => {
    const points = [1, 2, 4, 1000, 1024].map((x) => [x, 1] as const);
    expect(written(drawn(points, { logarithmic: true })).x).toEqual(['1', '4', '1,024']);
    expect(
      drawn(
        [
          [1, 1],
          [2, 1],
          [4, 1],
        ],
        { logarithmic: true },
      ),
    ).toContain('points="58,97 245,97 432,97"');
    expect(
      written(
        drawn(
          [
            [0, 1],
            [3, 1],
          ],
          { formatX: (x) => `day ${x}` },
        ),
      ).x,
    ).toEqual(['day 0', 'day 3']);
  });

  it('draws a single value, thins many and draws nothing of nothing', () => {
    expect(drawn([[5, 3]], { logarithmic: true })).toContain('points="245,');
    expect(drawn([[1, 0]])).toContain('points="245,184"');
    const many = Array.from({ length: 5000 }, (_, i) => [i, Math.sin(i)] as const);
    expect(drawn(many).match(/<circle/g)).toHaveLength(600);
    expect(lineChart({ title: 'a', x: 'x', series: [{ name: 'a', points: [{ x: 1, y: Number.NaN }] }] })).toBeNull();
  });

  it('tells of each point what it is, whole numbers exactly', () => {
    const series = [
      {
        name: 'a',
        points: [
          { x: 16_384, y: 1234.56 },
          { x: 20_000, y: 5, title: 'Monday' },
        ],
      },
    ];
    const svg = String(lineChart({ title: 'a', x: 'tokens', series }));
    expect([...svg.matchAll(/<title>([^<]*)/g)].map(([, text]) => text)).toEqual([
      'a: 1,235 (tokens 16,384)',
      'a: 5 (Monday)',
    ]);
  });

  it('writes the marks of an axis alike', () => {
    expect(
      written(
        drawn([
          [0, 1e-3],
          [20_000, 0],
        ]),
      ),
    ).toEqual({
      x: ['0', '5,000', '10,000', '15,000', '20,000'],
      y: ['0', '5e-4', '1e-3'],
    });
  });
});

it('a picture of its own names its curves, escaped', () => {
  const points = [
    { x: 1, y: 1 },
    { x: 2, y: 3 },
  ];
  const series = ['one', 'two & three', 'four'].map((name) => ({ name, points }));
  const file = lineFile({ title: 'a < b', x: 'x', series });
  expect(file).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" /);
  expect(file).toContain('>a &lt; b</text>');
  for (const [i, name] of ['one', 'two &amp; three', 'four'].entries())
    expect(file).toMatch(new RegExp(`<circle class="s${i}"[^>]* r="4"/><text [^>]*>${name}</text>`));
  expect(file.match(/<polyline/g)).toHaveLength(3);
});

describe('ticks', () => {
  it.each([
    [[0, 1], 5, [0, 0.2, 0.4, 0.6, 0.8, 1]],
    [[0, 61], 5, [0, 20, 40, 60, 80]],
    [[2.1, 2.4], 4, [2.1, 2.2, 2.3, 2.4]],
    [[0, 5e-5], 4, [0, 2e-5, 4e-5, 6e-5]],
  ] as [[number, number], number, number[]][])('%j', (range, wanted, expected) => {
    expect(ticks(range, wanted)).toEqual(expected);
  });
});

it('html escapes text and not its own', () => {
  expect(
    String(html`<b title="${`"x' <y>`}">${'&'}${html`<u>${'&'}</u>`}${[1, '"']}${null}${false}${undefined}</b>`),
  ).toBe('<b title="&quot;x&#39; &lt;y&gt;">&amp;<u>&amp;</u>1&quot;</b>');
});
