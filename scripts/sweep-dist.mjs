import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** @param {string} folder @returns {string[]} paths of files below it, relative to it */
const filesIn = (folder) =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));

/**
 * Removes what `tsc -b` made of sources that are gone: it would be packed, and tests would find it.
 * @param {string} packageFolder with src/, and perhaps dist/
 * @returns {string[]} the files that were removed
 */
export function sweepDist(packageFolder) {
  const [src, dist] = [join(packageFolder, 'src'), join(packageFolder, 'dist')];
  const sources = new Set(filesIn(src).map((path) => path.replace(/\.ts$/, '')));
  let made;
  try {
    made = filesIn(dist);
  } catch {
    return []; // nothing is built yet
  }
  const stale = made.filter(
    (path) => /\.(js|d\.ts)(\.map)?$/.test(path) && !sources.has(path.replace(/\.(js|d\.ts)(\.map)?$/, '')),
  );
  for (const path of stale) rmSync(join(dist, path));
  return stale;
}
