import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { Screen } from '../command.js';
import { Progress } from './progress.js';
import { sparkline } from './sparkline.js';
import { sideBySide, table } from './table.js';

describe('sparkline', () => {
  it('spans lowest to highest', () => {
    expect(sparkline([0, 1, 2, 3, 4, 5, 6, 7])).toBe('▁▂▃▄▅▆▇█');
    expect(sparkline([5, 5, 5])).toBe('▁▁▁');
    expect(sparkline([])).toBe('');
    expect(sparkline([Number.NaN, 1, Number.POSITIVE_INFINITY, 2])).toBe('▁█');
  });

  it('averages what does not fit', () => {
    expect(sparkline([0, 0, 7, 7], 2)).toBe('▁█');
    expect(
      sparkline(
        Array.from({ length: 1000 }, (_, i) => i),
        60,
      ),
    ).toHaveLength(60);
  });
});

describe('table', () => {
  it('aligns texts left and numbers right', () => {
    expect(
      table([
        ['a', 'before'],
        ['right tool', '9.0 %'],
        ['x', '-'],
      ]),
    ).toBe('a           before\n----------  ------\nright tool   9.0 %\nx                -');
  });

  it('wraps texts to the terminal at blanks, and numbers never', () => {
    const rows = [
      ['problem', 'rows', 'for example'],
      ['loses a part of its answer at max-length', '12', 'its answer begins at token 900'],
      ['short', '1 of 1', 'https://a-long-word-without-any-blank.example'],
    ];
    const text = table(rows, 50);
    expect(text.split('\n').every((line) => line.length <= 50)).toBe(true);
    expect(text).toBe(
      [
        'problem                 rows  for example',
        '--------------------  ------  --------------------',
        'loses a part of its       12  its answer begins at',
        'answer at max-length          token 900',
        'short                 1 of 1  https://a-long-word-',
        '                              without-any-blank.ex',
        '                              ample',
      ].join('\n'),
    );
    expect(table(rows).split('\n')).toHaveLength(4);
    expect(table(rows, 10).split('\n')[1]).toBe('----------------  ------  ----------------');
  });

  it('puts two texts side by side', () => {
    expect(sideBySide(['left', 'abcdefgh'], ['right', 'x\ny'], 13)).toBe(
      'left  | right\n----  | -----\nabcde | x\nfgh   | y',
    );
  });
});

class Captured extends Writable {
  text = '';
  constructor(
    readonly isTTY: boolean,
    readonly columns: number,
  ) {
    super();
  }
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

describe('Progress', () => {
  it('draws one line over and over on a terminal, cut to its width', () => {
    const screen = new Captured(true, 30);
    const progress = new Progress(screen as Screen);
    progress.update('Work', 0.5, 'a long explanation that does not fit');
    progress.line('a message');
    progress.update('Work', 1, 'done');
    progress.end();
    expect(screen.text).toBe(
      '\r\x1b[KWork [##########----------]  \r\x1b[Ka message\n\r\x1b[KWork [####################] 1\n',
    );
  });

  it('prints a line now and then elsewhere, and the last state', () => {
    const screen = new Captured(false, 80);
    const progress = new Progress(screen as Screen);
    for (let i = 1; i <= 100; i++) progress.update('Work', i / 100, `${i}`);
    progress.end();
    expect(screen.text).toBe(`Work [${'-'.repeat(20)}]   1 %  1\nWork [${'#'.repeat(20)}] 100 %  100\n`);
  });
});
