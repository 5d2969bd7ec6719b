import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { sweepDist } from './sweep-dist.mjs';

const work = mkdtempSync(join(tmpdir(), 'gemmatune-sweep-'));
afterAll(() => rmSync(work, { recursive: true }));

it('removes what was made of sources that are gone, and nothing else', () => {
  for (const folder of ['src/kept', 'dist/kept', 'dist/gone']) mkdirSync(join(work, folder), { recursive: true });
  const files = ['src/index.ts', 'src/kept/a.ts', 'dist/.tsbuildinfo', 'dist/data.json'];
  const made = ['index', 'kept/a', 'gone/b', 'old'].flatMap((name) =>
    ['js', 'js.map', 'd.ts', 'd.ts.map'].map((extension) => `dist/${name}.${extension}`),
  );
  for (const path of [...files, ...made]) writeFileSync(join(work, path), '');
  expect(sweepDist(work).sort()).toEqual(
    made
      .filter((path) => /gone|old/.test(path))
      .map((path) => path.slice('dist/'.length))
      .sort(),
  );
  expect(readdirSync(join(work, 'dist')).sort()).toEqual(
    ['.tsbuildinfo', 'data.json', 'gone', 'kept', 'index.js', 'index.js.map', 'index.d.ts', 'index.d.ts.map'].sort(),
  );
  expect(sweepDist(work)).toEqual([]);
  rmSync(join(work, 'dist'), { recursive: true });
  expect(sweepDist(work)).toEqual([]);
});
