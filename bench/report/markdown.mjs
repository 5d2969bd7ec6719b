// The tables of docs/benchmarks.md: bars first, then the figures that people ask for.
import { binaryBytes, day, joined, number, percent, times } from './format.mjs';
import { allBars, expectedOf, withUnit } from './sections/bars.mjs';
import { commitText, machines, machineText } from './sections.mjs';
import { plain, table } from './table.mjs';

/**
 * @param {readonly import('../measure/results.mjs').ResultFile[]} results short runs are left out
 * @returns {string} Markdown, a part for each machine
 */
export function markdown(results) {
  const parts = machines(results.filter(({ short }) => !short)).map(({ machine, files }) => {
    const bars = allBars(files).map((bar) => [
      bar.what,
      expectedOf(bar),
      withUnit(bar.value, bar.unit),
      bar.met ? 'met' : '**missed**',
    ]);
    const figures = files.flatMap(keyFigures);
    return [
      `${plain(machineText(machine))}; commit ${plain(commitText(files))}, ${day(files.at(-1)?.date ?? '')}:`,
      table(['bar', 'expected', 'measured', ''], bars),
      table(['figure', 'measured'], figures),
    ]
      .filter(Boolean)
      .join('\n\n');
  });
  return parts.length > 0 ? `${parts.join('\n\n')}\n` : 'Nothing was measured yet.\n';
}

/** [name, value] of what a suite found. */
function keyFigures({ suite, results }) {
  if (suite === 'train')
    return results.flatMap((run) => [
      [
        joined(['training', `${run.loss} loss`, run.device, run.dtype], ', '),
        joined(
          [
            `${number(run.tokensPerSecond)} tokens/s`,
            run.mfu && `${percent(run.mfu)} of the peak`,
            `${binaryBytes(run.peakBytes)} at most`,
          ],
          ', ',
        ),
      ],
    ]);
  if (suite === 'decode') {
    // The largest batch of each kind.
    const largest = (what) =>
      results.filter((run) => run.what === what && run.tokensPerSecond).sort((a, b) => b.batch - a.batch)[0];
    return ['prefill', 'decode'].flatMap((what) => {
      const run = largest(what);
      return run ? [[joined([what, `${run.batch} at once`], ', '), `${number(run.tokensPerSecond)} tokens/s`]] : [];
    });
  }
  if (suite === 'peers')
    return results
      .filter(({ ratio }) => typeof ratio === 'number')
      .map(({ ratio, ratioLow, ratioHigh, memoryRatio, against, loss, precision, what }) => [
        joined([`against ${against}`, loss && `${loss} loss`, precision, what], ', '),
        joined(
          [
            `${times(ratio)} the speed (${number(ratioLow)} to ${number(ratioHigh)})`,
            memoryRatio && `${times(memoryRatio)} the memory`,
          ],
          ', ',
        ),
      ]);
  if (suite === 'pipeline')
    return results
      .filter(({ rowsPerSecond, rows }) => rowsPerSecond && rows)
      .map((run) => [
        `${run.what}, ${number(run.rows)} rows`,
        joined([`${number(run.rowsPerSecond)} rows/s`, run.peakBytes && `${binaryBytes(run.peakBytes)} at most`], ', '),
      ]);
  return [];
}
