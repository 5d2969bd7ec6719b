/** The files of a tokenizer: tokenizer.json (or .gz), and tokenizer_config.json beside it. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { TokenizerFormatError } from './definition.js';

/** The tokenizer.json at `path`, or in the folder `path`. */
export async function findDefinition(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  if (found && !found.isDirectory()) return path;
  for (const name of ['tokenizer.json', 'tokenizer.json.gz']) {
    const file = join(path, name);
    if (await stat(file).catch(() => undefined)) return file;
  }
  throw new TokenizerFormatError(
    `${path} holds no tokenizer.json; give a model folder or the path of a tokenizer.json.`,
  );
}

/** sha256 of the file, in hex. Streamed, so that 33 MB do not hold up other work. */
export async function hashOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

export async function readJson(file: string): Promise<unknown> {
  const bytes = await readFile(file);
  try {
    const text = file.endsWith('.gz') ? await promisify(gunzip)(bytes) : bytes;
    return JSON.parse(text.toString('utf8'));
  } catch (error) {
    throw new TokenizerFormatError(
      `${file}: ${(error as Error).message}; the file is damaged or no JSON, fetch it again.`,
    );
  }
}

/** The texts of the named special tokens. */
export interface SpecialNames {
  bos_token: string;
  eos_token: string;
  pad_token: string;
}

/** From tokenizer_config.json in `folder`, as far as it is there and says so. */
export async function readSpecialNames(folder: string): Promise<SpecialNames> {
  const names: SpecialNames = { bos_token: '<bos>', eos_token: '<eos>', pad_token: '<pad>' };
  const file = join(folder, 'tokenizer_config.json');
  if (!(await stat(file).catch(() => undefined))) return names;
  const config = (await readJson(file)) as Record<string, unknown> | null;
  for (const key of Object.keys(names) as (keyof SpecialNames)[]) {
    // A name, or an AddedToken written out as an object.
    const value = config?.[key] as string | { content?: unknown } | null | undefined;
    const name = typeof value === 'object' ? value?.content : value;
    if (typeof name === 'string') names[key] = name;
  }
  return names;
}
