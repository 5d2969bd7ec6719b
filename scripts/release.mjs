// Makes a release of what is committed: `npm run release -- X.Y.Z` gives all packages that version, dates the changelog, commits and tags. Publishing
// is the work of whoever has the keys: nothing leaves this machine.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dated, later } from './release/changelog.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path) => readFileSync(join(root, path), 'utf8');

/** @param {string} sentence @returns {never} */
function stop(sentence) {
  console.error(`release: ${sentence}`);
  process.exit(2);
}

function git(...words) {
  const { status, stdout, stderr } = spawnSync('git', words, { cwd: root, encoding: 'utf8' });
  if (status !== 0) stop(`git ${words[0]} failed: ${stderr.trim()}`);
  return stdout.trim();
}

const [version = '', ...more] = process.argv.slice(2);
const manifests = ['native', ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}`)].map(
  (folder) => `${folder}/package.json`,
);
const before = JSON.parse(read('packages/cli/package.json')).version;
if (more.length > 0 || !/^\d+\.\d+\.\d+$/.test(version))
  stop(`found '${process.argv.slice(2).join(' ')}', expected X.Y.Z`);
if (!later(version, before)) stop(`${version} is not later than ${before}`);
if (git('status', '--porcelain') !== '') stop('there are changes that are not committed; commit or stash them');
if (git('tag', '--list', `v${version}`) !== '') stop(`there is a tag v${version} already`);
const changelog = dated(read('CHANGELOG.md'), version, new Date().toISOString().slice(0, 10));
if (changelog === null) stop('CHANGELOG.md has nothing under "## Unreleased"; say what has changed');

for (const path of manifests) {
  const text = read(path);
  writeFileSync(join(root, path), text.replace(`"version": "${before}"`, `"version": "${version}"`));
}
writeFileSync(join(root, 'CHANGELOG.md'), changelog);
git('commit', '--all', '--quiet', '--message', `Release ${version}`);
git('tag', '--annotate', `v${version}`, '--message', `gemmatune ${version}`);
console.log(`Committed and tagged v${version}. Check it with npm test, then push the branch and the tag.`);
