import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A file of the data folder that lies beside the repository; tests that need it are skipped by name where it is absent. */
export function shared(path: string): string {
  return fileURLToPath(new URL(`../../../../shared/data/${path}`, import.meta.url));
}

export const present = (path: string): boolean => existsSync(shared(path));

/** The lines of a shared file, without the newline at its end. */
export function sharedLines(path: string): string[] {
  return readFileSync(shared(path), 'utf8').replace(/\n$/, '').split('\n');
}
