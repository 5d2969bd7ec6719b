import { createReadStream } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { addAbortSignal, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { isSystemError, reasonOf } from '@gemmatune/base';
import { extract, type Header } from 'tar-stream';
import { HubError } from './errors.js';
import { safeRelativePath } from './paths.js';

const BLOCK = 512;
/** An archive ends with two blocks of zeros; one that was cut off between two entries lacks them. */
const END_MARK = 2 * BLOCK;

/**
 * Unpacks a `.tar` or `.tar.gz` as a stream. Only plain files and folders are written; links, devices, a second entry of one
 * name, and names that leave `folder` are refused.
 *
 * @returns the names of the files written
 * @throws HubError `ERR_GEMMATUNE_HUB_CORRUPT` with what was found, `_DISK`; files written before the fault stay in `folder`
 */
export async function extractTar(archive: string, folder: string, signal?: AbortSignal): Promise<string[]> {
  const isGzip = await beginsAsGzip(archive);
  const raw = createReadStream(archive, { highWaterMark: 1 << 20 });
  const bytes: Readable = isGzip ? raw.pipe(createGunzip()) : raw;
  if (signal) addAbortSignal(signal, bytes);
  const tail = tailOf(bytes);
  const entries = extract();
  for (const stream of [raw, bytes]) stream.on('error', (error: Error) => entries.destroy(error));
  // An entry that is cut short says only that it was; the reason is the archive's.
  let reason: unknown;
  entries.on('error', (error) => (reason = error));
  // Another library's stream, which its types do not show to be what Node calls writable.
  bytes.pipe(entries as unknown as NodeJS.WritableStream);

  const names: string[] = [];
  let end = 0;
  try {
    for await (const entry of entries) {
      const { header, offset } = entry;
      checkKind(header, archive);
      const isFolder = header.type === 'directory';
      end = offset + BLOCK + (isFolder ? 0 : Math.ceil(header.size / BLOCK) * BLOCK);
      if (isFolder && /^(\.\/)*\.?$/.test(header.name)) continue;
      const name = safeRelativePath(header.name, archive);
      const path = join(folder, name);
      await placed(mkdir(isFolder ? path : dirname(path), { recursive: true }), name, archive);
      if (isFolder) continue;
      await writeEntry(entry, path, name, archive);
      names.push(name);
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof HubError) throw error;
    throw corrupt(archive, `is damaged or no tar archive (${reasonOf(reason ?? error)}): download it again`);
  } finally {
    raw.destroy();
    bytes.destroy();
  }
  // After the last entry come zeros and nothing else: a file that ends in zeros must not pass for the mark.
  const rest = tail.read - end;
  if (rest < END_MARK || tail.zeros < rest)
    throw corrupt(archive, 'ends without the mark of its end, so it was cut off: download it again');
  if (names.length === 0) throw corrupt(archive, 'holds no files');
  return names;
}

async function writeEntry(content: AsyncIterable<unknown>, path: string, name: string, archive: string): Promise<void> {
  // `wx`: a second entry of the same name must not write through what the first one made.
  const file = await placed(open(path, 'wx'), name, archive);
  try {
    for await (const chunk of content) await placed(file.writeFile(chunk as Buffer), name, archive);
  } finally {
    await file.close();
  }
}

function checkKind({ name, type, size }: Header, archive: string): void {
  if (!['file', 'contiguous-file', 'directory'].includes(type)) {
    const found = `${JSON.stringify(name)} of the type ${type ?? 'unknown'}`;
    throw corrupt(archive, `holds ${found}: expected files and folders only`);
  }
  // A size of 2^88 and more is null here, and its content would never come.
  if (!Number.isSafeInteger(size)) throw corrupt(archive, `holds ${JSON.stringify(name)} of an impossible size`);
}

/** What becomes of putting an entry on the disk. */
async function placed<T>(work: Promise<T>, name: string, archive: string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (isSystemError(error) && ['EEXIST', 'EISDIR', 'ENOTDIR'].includes(error.code))
      throw corrupt(archive, `holds ${JSON.stringify(name)} where something is already: expected every name once`);
    throw new HubError(
      'ERR_GEMMATUNE_HUB_DISK',
      `${JSON.stringify(name)} of the archive ${archive} cannot be written (${reasonOf(error)}): make that possible and run again.`,
      { cause: error },
    );
  }
}

async function beginsAsGzip(archive: string): Promise<boolean> {
  const file = await open(archive, 'r');
  const { buffer: magic } = await file.read(Buffer.alloc(4), 0, 4, 0).finally(() => file.close());
  if (magic.toString('latin1') === 'PK\x03\x04') throw corrupt(archive, 'is a zip file, expected a .tar or .tar.gz');
  return magic[0] === 0x1f && magic[1] === 0x8b;
}

/** Counts what a stream has given so far: all its bytes, and the zeros since the last that is none. */
function tailOf(bytes: Readable): { read: number; zeros: number } {
  const tail = { read: 0, zeros: 0 };
  bytes.on('data', (chunk: Buffer) => {
    const last = chunk.findLastIndex((byte) => byte !== 0);
    tail.read += chunk.length;
    tail.zeros = last < 0 ? tail.zeros + chunk.length : chunk.length - 1 - last;
  });
  return tail;
}

function corrupt(archive: string, found: string): HubError {
  return new HubError('ERR_GEMMATUNE_HUB_CORRUPT', `The archive ${archive} ${found}.`);
}
