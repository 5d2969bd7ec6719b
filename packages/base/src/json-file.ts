/** Small files of text and JSON. */
import { readFile } from 'node:fs/promises';
import { isMissing, reasonOf } from './found.js';

/** Makes the error of a file: `what` is wrong with it, in a few words. */
export type Refuse = (what: string, cause: unknown) => Error;

/** The text of a file, or undefined where there is none. @throws the system's error where it cannot be read */
export async function readTextIfThere(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
}

/** The value of a file of JSON. @throws what `refuse` makes where it cannot be read or is no JSON */
export async function readJsonFile(path: string, refuse: Refuse): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw refuse(reasonOf(error), error);
  });
  return parse(text, refuse);
}

/** As readJsonFile, but undefined where there is no such file. */
export async function readJsonIfThere(path: string, refuse: Refuse): Promise<unknown> {
  const text = await readTextIfThere(path).catch((error: unknown) => {
    throw refuse(reasonOf(error), error);
  });
  return text === undefined ? undefined : parse(text, refuse);
}

function parse(text: string, refuse: Refuse): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw refuse(reasonOf(error), error);
  }
}
