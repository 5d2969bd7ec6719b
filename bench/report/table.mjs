// Tables in Markdown, and their places in a page.

/** @param {readonly unknown[]} columns @param {readonly unknown[][]} rows @returns {string} '' where there is no row */
export function table(columns, rows) {
  if (rows.length === 0) return '';
  const line = (cells) => `| ${cells.map(plain).join(' | ')} |`;
  return [line(columns), `| ${columns.map(() => '---').join(' | ')} |`, ...rows.map(line)].join('\n');
}

/** Text that stays in its cell and is no HTML. */
export function plain(text) {
  return String(text)
    .replace(/[|<>`\\]/g, (character) => `\\${character}`)
    .replace(/\s+/g, ' ');
}

/**
 * A page with new content between the markers of a name, <!-- NAME --> and <!-- /NAME -->.
 * @param {string} page its text
 * @param {string} name
 * @param {string} content
 * @throws where the markers are not there, once each and in order
 */
export function withPart(page, name, content) {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [from, to] = [page.indexOf(open), page.indexOf(close)];
  const once = page.split(open).length === 2 && page.split(close).length === 2;
  if (!once || to < from)
    throw new Error(
      `the page has no place for ${name}; expected the lines ${open} and ${close} once each, in this order`,
    );
  return `${page.slice(0, from + open.length)}\n${content.trim()}\n${page.slice(to)}`;
}
