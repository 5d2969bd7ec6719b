import { statSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { GemmatuneError, reasonOf } from '@gemmatune/base';
import { UsageError } from './options.js';

/** What was to be printed could not be: a full device, most of the time. */
class OutputError extends GemmatuneError<'ERR_GEMMATUNE_OUTPUT'> {}

/** Writes to stdout, and waits until it is taken. @throws OutputError */
export function write(stream: Writable, text: string): Promise<void> {
  return new Promise((done, fail) => {
    stream.write(text, (error) => {
      if (!error) return done();
      const reason = `Standard output takes no more: ${reasonOf(error)}; what was printed is not complete.`;
      fail(new OutputError('ERR_GEMMATUNE_OUTPUT', reason, { cause: error }));
    });
  });
}

/** @throws UsageError where the file of an option holds something, and may not be replaced */
export function refuseExisting(option: string, path: string | null, overwrite: boolean): void {
  const there = path === null ? undefined : statSync(path, { throwIfNoEntry: false });
  if (overwrite || !there?.isFile() || there.size === 0) return;
  throw new UsageError(`${option}: ${path} is there already; choose another name, or replace it with --overwrite.`);
}
