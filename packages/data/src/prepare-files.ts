import { mkdir, rmdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { PrepareOptions, PrepareReport } from './arrange.js';
import { arrangeFiles } from './prepare.js';
import { ScratchTexts } from './scratch-texts.js';
import { refuseRows, writeRows } from './write-prepared.js';

/**
 * `prepare` and `writePrepared` in one, for data of any size: the same files, and memory does not grow with them. Rows wait in a nameless
 * scratch file in the folder, about as large as the result, until all are read and their order is known.
 * @throws InputError as `prepare` and `writePrepared` do, the latter before anything is read
 */
export async function prepareFiles(
  source: string | string[],
  folder: string,
  { overwrite = false, ...options }: PrepareOptions & { overwrite?: boolean } = {},
): Promise<PrepareReport> {
  refuseRows(folder, overwrite);
  const made = await mkdir(folder, { recursive: true });
  try {
    await using texts = await ScratchTexts.open(folder);
    const { train, eval: evaluation, report } = await arrangeFiles(source, options, texts);
    await writeRows(folder, { train: texts.lines(train), eval: texts.lines(evaluation), report }, overwrite);
    return report;
  } catch (error) {
    if (made !== undefined) await removeEmpty(folder, made);
    throw error;
  }
}

/** Removes `folder` and those above it up to `last`, as far as they are empty. */
async function removeEmpty(folder: string, last: string): Promise<void> {
  try {
    for (let at = resolve(folder); ; at = dirname(at)) {
      await rmdir(at);
      if (at === resolve(last)) return;
    }
  } catch {
    // Something else came to lie there.
  }
}
