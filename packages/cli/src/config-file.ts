import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isObject, readJsonFile, shown } from '@gemmatune/base';
import { UsageError } from './options.js';

/**
 * The options a configuration file holds: JSON, or the default export of a JavaScript or TypeScript module.
 * @throws UsageError naming the file
 */
export async function readConfig(path: string): Promise<Record<string, unknown>> {
  const content = /\.[cm]?[jt]s$/.test(path)
    ? await defaultExport(path)
    : await readJsonFile(
        path,
        (what) => new UsageError(`${path}: ${what}, expected the JSON text of an object of options.`),
      );
  if (!isObject(content)) throw new UsageError(`${path}: found ${shown(content)}, expected an object of options.`);
  return content;
}

async function defaultExport(path: string): Promise<unknown> {
  try {
    const module = (await import(pathToFileURL(resolve(path)).href)) as { default?: unknown };
    return module.default;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const what =
      code === 'ERR_UNKNOWN_FILE_EXTENSION'
        ? `Node ${process.version} does not run TypeScript; use a .json or .mjs file, or Node 22.18 or newer`
        : code === 'ERR_MODULE_NOT_FOUND'
          ? `it or something it imports is not there (${message.split('\n')[0]})`
          : message;
    throw new UsageError(`${path}: ${what}.`, { cause: error });
  }
}
