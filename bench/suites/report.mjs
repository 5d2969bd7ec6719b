// All results as one page; and their most important numbers as tables for docs/benchmarks.md.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readResults } from '../measure/read-results.mjs';
import { RESULTS } from '../measure/results.mjs';
import { markdown } from '../report/markdown.mjs';
import { renderPage } from '../report/page.mjs';
import { withPart } from '../report/table.mjs';
import { rooflines } from './roofline.mjs';

export { text } from '../report/text.mjs';

const PAGE = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));

const OPTIONS = {
  results: { default: RESULTS, help: 'Folder with result files.' },
  out: { default: 'bench-report.html', help: 'The page to write.' },
  markdown: { default: false, help: 'Print the tables for docs/benchmarks.md instead.' },
  write: {
    default: false,
    help: 'With --markdown: also write it between the markers <!-- bench --> and <!-- /bench --> of that page.',
  },
};

export const report = {
  summary: 'All results as one HTML page; with --markdown the tables for docs/benchmarks.md.',
  options: OPTIONS,
  /**
   * @param {import('./index.mjs').Values<typeof OPTIONS>} options
   * @param {{ note: (line: string) => void, print: (text: string) => void }} context
   */
  async run({ results: folder, out, markdown: asMarkdown, write }, { note, print }) {
    if (write && !asMarkdown) throw new Error('--write was given without --markdown; expected both');
    const { results, skipped } = await readResults(folder);
    for (const { file, reason } of skipped) note(`skipped ${file}: ${reason}`);
    if (asMarkdown) {
      const content = markdown(results);
      print(content);
      if (write) {
        await writeFile(PAGE, withPart(await readFile(PAGE, 'utf8'), 'bench', content));
        note(`wrote ${PAGE}`);
      }
      return;
    }
    const path = resolve(out);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, renderPage([...results, ...(await rooflines(results))], skipped));
    note(`wrote ${path}: ${results.length} result${results.length === 1 ? '' : 's'}`);
  },
};
