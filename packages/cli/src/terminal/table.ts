const GAP = '  ';
/** A column of texts is not made narrower than this: below, words fall apart. */
const NARROW = 16;

/**
 * Rows as aligned columns, numbers on the right. The first row is the head and is underlined.
 * @param width of the terminal: texts are wrapped to it. Unset: a line a row, for a file or another program
 */
export function table(rows: readonly (readonly string[])[], width = Number.POSITIVE_INFINITY): string {
  const columns = Math.max(...rows.map((row) => row.length));
  const cell = (row: readonly string[], c: number) => row[c] ?? '';
  const natural = Array.from({ length: columns }, (_, c) => Math.max(...rows.map((row) => cell(row, c).length)));
  const numeric = natural.map((_, c) => rows.slice(1).every((row) => /^[-+]?[\d.,%\s()of-]*$/.test(cell(row, c))));
  const widths = fitted(natural, numeric, width);
  const lines = (row: readonly string[]) => {
    const cells = widths.map((room, c) => wrapWords(cell(row, c), room));
    const height = Math.max(...cells.map((pieces) => pieces.length));
    return Array.from({ length: height }, (_, i) =>
      widths
        .map((room, c) => (numeric[c] ? (cells[c]![i] ?? '').padStart(room) : (cells[c]![i] ?? '').padEnd(room)))
        .join(GAP)
        .trimEnd(),
    );
  };
  const [head, ...body] = rows;
  return [...lines(head!), widths.map((room) => '-'.repeat(room)).join(GAP), ...body.flatMap(lines)].join('\n');
}

/** Takes from the widest column of texts what is too much. */
function fitted(natural: readonly number[], numeric: readonly boolean[], width: number): number[] {
  const widths = [...natural];
  for (;;) {
    const excess = widths.reduce((sum, each) => sum + each, GAP.length * (widths.length - 1)) - width;
    const texts = widths.map((each, c) => (numeric[c] ? 0 : each));
    const widest = texts.indexOf(Math.max(...texts));
    if (excess <= 0 || texts[widest]! <= NARROW) return widths;
    const next = Math.max(NARROW, ...texts.filter((_, c) => c !== widest));
    const least = next < texts[widest]! ? next : texts[widest]! - 1;
    widths[widest] = Math.max(texts[widest]! - excess, least);
  }
}

/** Lines of at most `width` characters, broken at blanks where there are any. */
function wrapWords(text: string, width: number): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > width) {
    const blank = rest.lastIndexOf(' ', width);
    const at = blank > 0 ? blank : width;
    lines.push(rest.slice(0, at));
    rest = rest.slice(at).trimStart();
  }
  return [...lines, rest];
}

/** Two texts side by side, each wrapped to half of `width`. */
export function sideBySide(
  left: [title: string, text: string],
  right: [title: string, text: string],
  width = 100,
): string {
  const half = Math.floor((width - 3) / 2);
  const columns = [left, right].map(([title, text]) => [title, '-'.repeat(title.length), ...cut(text, half)]);
  const height = Math.max(...columns.map((lines) => lines.length));
  return Array.from({ length: height }, (_, i) =>
    `${(columns[0]![i] ?? '').padEnd(half)} | ${columns[1]![i] ?? ''}`.trimEnd(),
  ).join('\n');
}

/** A generation is shown character for character: blanks are part of it. */
function cut(text: string, width: number): string[] {
  return text.split('\n').flatMap((line) => {
    const pieces = Array.from({ length: Math.ceil(line.length / width) }, (_, i) =>
      line.slice(i * width, (i + 1) * width),
    );
    return pieces.length > 0 ? pieces : [''];
  });
}
