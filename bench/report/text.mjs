// The page of plain text that a whole run ends with.
import { commitText, machines, machineText } from './sections.mjs';

const MOST_LINES = 79;
const WIDTH = 100;

/**
 * Tables of the newest results, in under 80 lines of at most 100 columns. Where there is more, the longest tables are cut and say so.
 * @param {readonly import('../measure/results.mjs').ResultFile[]} results of one machine; of several, only the newest one's are shown
 */
export function text(results) {
  const [newest] = machines(results);
  if (!newest) return 'There are no results yet: `npm run bench` makes some.';
  const { machine, files, sections } = newest;
  const head = [...wrapped(machineText(machine)), ...wrapped(`commit ${commitText(files)}`)];
  const shown = sections.flatMap(({ title, file, summary }) => {
    if (!summary || (summary.rows.length === 0 && !summary.notes?.length)) return [];
    return [{ title: file?.short ? `${title} (short version)` : title, summary, rows: summary.rows.length }];
  });
  const lines = () => [
    ...head,
    ...shown.flatMap(({ title, summary, rows }) => ['', ...tableLines(title, summary, rows)]),
  ];
  while (lines().length > MOST_LINES) {
    // Bars come first, and are cut last.
    const [bars, ...others] = shown;
    const longest = others.toSorted((a, b) => b.rows - a.rows).find(({ rows }) => rows > 1);
    const next = longest ?? bars;
    if (next.rows <= 1) break;
    // The first cut costs a line that says so.
    next.rows = Math.max(1, next.rows - (next.rows === next.summary.rows.length ? 2 : 1));
  }
  return lines().join('\n');
}

/** @param {string} title @param {import('./sections.mjs').Table} table @param {number} most rows */
function tableLines(title, { columns, rows, notes = [] }, most) {
  const cells = rows.map((row) => row.map((cell) => String((typeof cell === 'object' ? cell?.text : cell) ?? '')));
  const shown = columns.map((_, i) => i).filter((i) => cells.some((row) => !['', '–'].includes(row[i] ?? '')));
  const table = [shown.map((i) => columns[i]), ...cells.slice(0, most).map((row) => shown.map((i) => row[i] ?? ''))];
  const widths = shown.map((_, i) => Math.max(...table.map((row) => row[i].length)));
  // The first column gives way where a line would be too long.
  widths[0] = Math.max(8, Math.min(widths[0] ?? 0, WIDTH - widths.slice(1).reduce((sum, width) => sum + width + 2, 0)));
  const line = (/** @type {string[]} */ row) =>
    row
      .map((cell, i) => (i === 0 ? cut(cell, widths[0]).padEnd(widths[0]) : cell.padStart(widths[i])))
      .join('  ')
      .trimEnd();
  return [
    cut(title, WIDTH),
    ...(rows.length > 0 ? table.map(line) : []),
    ...(most < rows.length ? [`… and ${rows.length - most} more: \`npm run bench -- report\``] : []),
    ...notes.flatMap(wrapped),
  ].map((each) => cut(each, WIDTH));
}

/** @param {string} line @param {number} width */
const cut = (line, width) => (line.length > width ? `${line.slice(0, width - 1)}…` : line);

/** @param {string} sentence */
function wrapped(sentence) {
  const lines = [''];
  for (const word of sentence.split(' ')) {
    const next = lines.at(-1) === '' ? word : `${lines.at(-1)} ${word}`;
    if (next.length <= WIDTH) lines[lines.length - 1] = next;
    else lines.push(word);
  }
  return lines;
}
