import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder of its own for a test, gone when its file has run. */
export function scratch(): string {
  folders.push(mkdtempSync(join(tmpdir(), 'gemmatune-data-')));
  return folders.at(-1)!;
}
