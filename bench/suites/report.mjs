// All results as one page; and their most important numbers as a table for the README.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readResults } from '../measure/read-results.mjs';
import { RESULTS } from '../measure/results.mjs';
import { markdown } from '../report/markdown.mjs';
import { renderPage } from '../report/page.mjs';
import { withPart } from '../report/table.mjs';
import { rooflines } from './roofline.mjs';

export { renderPage } from '../report/page.mjs';
export { text } from '../report/text.mjs';

const inside = (path) => fileURLToPath(new URL(path, import.meta.url));

/** @type {import('../bench.mjs').Suite} */
export const report = {
  summary: 'All results as one HTML page; with --markdown the table for the README.',
  options: {
    results: { type: 'string', default: RESULTS, help: 'Folder with result files.' },
    out: { type: 'string', default: 'bench-report.html', help: 'The page to write.' },
    markdown: { type: 'boolean', default: false, help: 'Print the table for the README instead.' },
    readme: {
      type: 'boolean',
      default: false,
      help: 'With --markdown: also write it between the markers <!-- bench --> and <!-- /bench --> of README.md.',
    },
  },
  short: {},
  async run({ results: folder, out, markdown: asMarkdown, readme }, { note = () => {}, print = console.log }) {
    if (readme && !asMarkdown) throw new Error('--readme was given without --markdown; expected both');
    const { results, skipped } = await readResults(folder);
    for (const { file, reason } of skipped) note(`skipped ${file}: ${reason}`);
    const settings = { results: results.length, skipped };
    if (asMarkdown) {
      const content = markdown(results);
      print(content);
      if (readme) {
        const path = inside('../../README.md');
        await writeFile(path, withPart(await readFile(path, 'utf8'), 'bench', content));
        note(`wrote ${path}`);
      }
      return { settings, results: [], bars: [] };
    }
    const path = resolve(out);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, renderPage([...results, ...(await rooflines(results))], skipped));
    note(`wrote ${path}: ${results.length} result${results.length === 1 ? '' : 's'}`);
    return { settings: { ...settings, file: path }, results: [], bars: [] };
  },
};
