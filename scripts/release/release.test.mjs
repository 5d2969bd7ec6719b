import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { dated, later } from './changelog.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'gemmatune-release-'));
afterAll(() => rmSync(work, { recursive: true }));

it.each([
  ['0.2.0', '0.1.9', true],
  ['0.1.10', '0.1.9', true],
  ['1.0.0', '0.9.9', true],
  ['0.1.0', '0.1.0', false],
  ['0.1.9', '0.2.0', false],
])('%s after %s: %s', (a, b, expected) => {
  expect(later(a, b)).toBe(expected);
});

it('dates what is unreleased, and leaves room for more', () => {
  const text = '# Changelog\n\n## Unreleased\n\n- new\n\n## 0.1.0, 2026-01-01\n\n- old\n';
  expect(dated(text, '0.2.0', '2026-02-02')).toBe(
    '# Changelog\n\n## Unreleased\n\n## 0.2.0, 2026-02-02\n\n- new\n\n## 0.1.0, 2026-01-01\n\n- old\n',
  );
  expect(dated('# Changelog\n\n## Unreleased\n\n## 0.1.0, 2026-01-01\n', '0.2.0', '2026-02-02')).toBeNull();
  expect(dated('# Changelog\n\n## Unreleased\n\n- first\n', '0.1.0', '2026-02-02')).toContain(
    '## 0.1.0, 2026-02-02\n\n- first\n',
  );
});

it('gives all packages one version, commits and tags, and refuses what is unclear', () => {
  const at = (/** @type {string[]} */ ...parts) => join(work, ...parts);
  const git = (/** @type {string[]} */ ...words) =>
    spawnSync('git', words, { cwd: work, encoding: 'utf8' }).stdout.trim();
  const release = (/** @type {string[]} */ ...words) =>
    spawnSync(process.execPath, [at('scripts/release.mjs'), ...words], { cwd: work, encoding: 'utf8' });
  cpSync(join(root, 'scripts/release.mjs'), at('scripts/release.mjs'), { recursive: true });
  cpSync(join(root, 'scripts/release'), at('scripts/release'), { recursive: true });
  for (const folder of ['native', 'packages/cli', 'packages/base']) {
    mkdirSync(at(folder), { recursive: true });
    writeFileSync(at(folder, 'package.json'), '{\n  "name": "x",\n  "version": "0.1.0"\n}\n');
  }
  writeFileSync(at('CHANGELOG.md'), '# Changelog\n\n## Unreleased\n\n- new\n');
  git('init', '--quiet');
  git('config', 'user.name', 'Test');
  git('config', 'user.email', 'test@example.org');
  git('add', '--all');
  expect(release('0.2.0').stderr).toBe('release: there are changes that are not committed; commit or stash them\n');
  git('commit', '--quiet', '--message', 'All');
  expect(release('0.1.0').stderr).toBe('release: 0.1.0 is not later than 0.1.0\n');
  expect(release('next').stderr).toBe("release: found 'next', expected X.Y.Z\n");

  const made = release('0.2.0');
  expect([made.status, made.stderr]).toEqual([0, '']);
  expect(git('log', '--format=%s')).toBe('Release 0.2.0\nAll');
  expect(git('tag')).toBe('v0.2.0');
  expect(git('status', '--porcelain')).toBe('');
  for (const folder of ['native', 'packages/cli', 'packages/base'])
    expect(JSON.parse(readFileSync(at(folder, 'package.json'), 'utf8')).version).toBe('0.2.0');
  expect(release('0.3.0').stderr).toContain('CHANGELOG.md has nothing under "## Unreleased"');
});
