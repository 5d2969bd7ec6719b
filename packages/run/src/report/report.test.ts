import { describe, expect, it } from 'vitest';
import { escapeHtml } from './escape.js';
import { reportPage, seriesOf } from './page.js';
import { linePlot, ticks } from './plot.js';

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
    expect(page).toContain('<tspan class="s1"');
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
    expect(seriesOf(logHistory, 'loss')).toEqual({ name: 'training', points: [[1, 2]] });
    expect(seriesOf(logHistory, 'eval_loss')).toEqual({ name: 'evaluation', points: [[2, 1.5]] });
  });
});

describe('linePlot', () => {
  it('puts the axes round the values', () => {
    const svg = linePlot('Loss', [
      {
        name: 'a',
        points: [
          [0, 0],
          [10, 1],
        ],
      },
    ]);
    // x from 58 to 446, y from 206 (low) to 30 (high).
    expect(svg).toContain('points="58,206 446,30"');
  });

  it('draws a single value, thins many and draws nothing of nothing', () => {
    expect(linePlot('Loss', [{ name: 'a', points: [[1, 0]] }])).toContain('points="252,118"');
    const many = Array.from({ length: 5000 }, (_, i) => [i, Math.sin(i)] as const);
    expect(linePlot('Loss', [{ name: 'a', points: many }]).match(/<circle/g)).toHaveLength(600);
    expect(linePlot('Loss', [{ name: 'a', points: [[1, Number.NaN]] }])).toBe('');
  });
});

it('ticks of an axis are written alike', () => {
  const svg = linePlot('Learning rate', [
    {
      name: 'a',
      points: [
        [0, 1e-3],
        [20_000, 0],
      ],
    },
  ]);
  const texts = [...svg.matchAll(/dy="0.32em">([^<]*)</g)].map(([, text]) => text);
  expect(texts).toEqual(['0', '5e-4', '1e-3']);
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

it('escapeHtml', () => {
  expect(escapeHtml(`<a href="x" title='y'>&</a>`)).toBe(
    '&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;&lt;/a&gt;',
  );
});
