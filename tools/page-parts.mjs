// Parts of a page that a script writes.
import { readFileSync, writeFileSync } from 'node:fs';
import { withPart } from '../bench/report/table.mjs';

/** @param {string} path of the page @param {Record<string, string>} parts new content by the name of its markers @throws where one has no place */
export function writeParts(path, parts) {
  let page = readFileSync(path, 'utf8');
  for (const [name, content] of Object.entries(parts)) page = withPart(page, name, content);
  writeFileSync(path, page);
}
