/** Rows as aligned columns, numbers on the right. The first row is the head and is underlined. */
export function table(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, c) => Math.max(...rows.map((row) => (row[c] ?? '').length)));
  const numeric = widths.map((_, c) => rows.slice(1).every((row) => /^[-+]?[\d.,%\s()of-]*$/.test(row[c] ?? '')));
  const line = (row: readonly string[]) =>
    widths
      .map((width, c) => (numeric[c] ? (row[c] ?? '').padStart(width) : (row[c] ?? '').padEnd(width)))
      .join('  ')
      .trimEnd();
  const [head, ...body] = rows;
  return [line(head!), widths.map((width) => '-'.repeat(width)).join('  '), ...body.map(line)].join('\n');
}

/** Two texts side by side, each wrapped to half of `width`. */
export function sideBySide(
  left: [title: string, text: string],
  right: [title: string, text: string],
  width = 100,
): string {
  const half = Math.floor((width - 3) / 2);
  const columns = [left, right].map(([title, text]) => [title, '-'.repeat(title.length), ...wrap(text, half)]);
  const height = Math.max(...columns.map((lines) => lines.length));
  return Array.from({ length: height }, (_, i) =>
    `${(columns[0]![i] ?? '').padEnd(half)} | ${columns[1]![i] ?? ''}`.trimEnd(),
  ).join('\n');
}

function wrap(text: string, width: number): string[] {
  return text.split('\n').flatMap((line) => {
    const pieces = Array.from({ length: Math.ceil(line.length / width) }, (_, i) =>
      line.slice(i * width, (i + 1) * width),
    );
    return pieces.length > 0 ? pieces : [''];
  });
}
