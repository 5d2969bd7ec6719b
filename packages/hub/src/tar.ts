import { createReadStream } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { causeOf, HubError } from './errors.js';
import { safeRelativePath } from './paths.js';

const BLOCK = 512;

/**
 * Unpacks a `.tar` or `.tar.gz` as a stream (ustar, with the long names of GNU and PAX). Only plain files and folders are
 * written; links, devices and names that leave `folder` are refused.
 *
 * @returns the names of the files written
 * @throws HubError `ERR_GEMMATUNE_HUB_CORRUPT` with what was found; files written before the fault stay in `folder`
 */
export async function extractTar(archive: string, folder: string, signal?: AbortSignal): Promise<string[]> {
  const names: string[] = [];
  const input = new ByteReader(archiveChunks(archive, signal), archive);
  try {
    let longName: string | undefined;
    let longSize: number | undefined;
    for (;;) {
      const header = await input.block();
      if (header === undefined || header.every((byte) => byte === 0)) return names;
      checkHeader(header, archive);
      const size = longSize ?? numberField(header, 124, 12);
      const type = String.fromCharCode(header[156] || 48);
      if (type === 'L' || type === 'x' || type === 'g') {
        const text = (await input.bytes(size)).toString('utf8');
        if (type === 'L') longName = text.replace(/\0.*$/s, '');
        if (type === 'x') {
          const pax = paxRecords(text);
          longName = pax.get('path') ?? longName;
          if (pax.has('size')) longSize = Number(pax.get('size'));
        }
        continue;
      }
      const name = longName ?? headerName(header);
      longName = undefined;
      longSize = undefined;
      if (type === '5') {
        if (!/^(\.\/)*\.?$/.test(name)) await mkdir(join(folder, safeRelativePath(name, archive)), { recursive: true });
      } else if (type === '0' || type === '7') {
        const path = safeRelativePath(name, archive);
        await writeEntry(join(folder, path), input, size);
        names.push(path);
      } else {
        throw corrupt(
          archive,
          `holds ${JSON.stringify(name)} of tar type ${JSON.stringify(type)} (a link or device), expected files and folders only`,
        );
      }
    }
  } finally {
    await input.close();
  }
}

async function writeEntry(path: string, input: ByteReader, size: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  // `wx`: a second entry of the same name must not write through what the first one made.
  const file = await open(path, 'wx');
  try {
    for await (const chunk of input.stream(size)) await file.writeFile(chunk);
  } finally {
    await file.close();
  }
}

function checkHeader(header: Buffer, archive: string): void {
  let sum = 8 * 32; // the checksum field itself counts as spaces
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += header[i] ?? 0;
  if (sum !== numberField(header, 148, 8))
    throw corrupt(archive, 'is no tar archive or is damaged (a header checksum is wrong)');
}

/** Octal text, or GNU's big-endian binary when the top bit is set (sizes of 8 GiB and more). */
function numberField(header: Buffer, start: number, length: number): number {
  const field = header.subarray(start, start + length);
  if (((field[0] ?? 0) & 0x80) !== 0) return Number(BigInt(`0x${field.subarray(1).toString('hex')}`));
  return Number.parseInt(
    field
      .toString('latin1')
      .replace(/[\0 ]+$/, '')
      .trim() || '0',
    8,
  );
}

function headerName(header: Buffer): string {
  const text = (start: number, length: number) =>
    header
      .subarray(start, start + length)
      .toString('utf8')
      .replace(/\0.*$/s, '');
  const isUstar = header.subarray(257, 263).toString('latin1') === 'ustar\0';
  const prefix = isUstar ? text(345, 155) : '';
  return prefix ? `${prefix}/${text(0, 100)}` : text(0, 100);
}

/** PAX records are `<length> <key>=<value>\n`, length counting the whole record. */
function paxRecords(text: string): Map<string, string> {
  const records = new Map<string, string>();
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) {
    const length = Number.parseInt(bytes.subarray(at, at + 20).toString('latin1'), 10);
    if (!(length > 0)) break;
    const [, key = '', value = ''] =
      /^\d+ ([^=]+)=(.*)\n$/s.exec(bytes.subarray(at, at + length).toString('utf8')) ?? [];
    records.set(key, value);
    at += length;
  }
  return records;
}

async function* archiveChunks(archive: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
  const file = await open(archive, 'r');
  const magic = await file.read(Buffer.alloc(4), 0, 4, 0).finally(() => file.close());
  if (magic.buffer.toString('latin1') === 'PK\x03\x04')
    throw corrupt(archive, 'is a zip file, expected a .tar or .tar.gz');
  const isGzip = magic.buffer[0] === 0x1f && magic.buffer[1] === 0x8b;
  const raw = createReadStream(archive, { highWaterMark: 1 << 20, ...(signal && { signal }) });
  const source = isGzip ? raw.pipe(createGunzip()) : raw;
  raw.on('error', (error) => source.destroy(error));
  try {
    for await (const chunk of source) yield chunk as Buffer;
  } catch (error) {
    signal?.throwIfAborted();
    throw corrupt(archive, `cannot be unpacked (${causeOf(error)})`);
  } finally {
    raw.destroy();
  }
}

/** Hands out exact byte counts of a stream of chunks. */
class ByteReader {
  private rest: Buffer = Buffer.alloc(0);
  constructor(
    private readonly chunks: AsyncGenerator<Buffer>,
    private readonly archive: string,
  ) {}

  /** The next 512-byte block, or undefined at a clean end. */
  async block(): Promise<Buffer | undefined> {
    const parts: Buffer[] = [];
    for await (const part of this.take(BLOCK)) parts.push(part);
    const block = Buffer.concat(parts);
    if (block.length === 0) return undefined;
    if (block.length < BLOCK) throw corrupt(this.archive, 'ends in the middle of a header');
    return block;
  }

  /** An entry's content, and the padding after it. */
  async *stream(size: number): AsyncGenerator<Buffer> {
    let left = size;
    for await (const part of this.take(size)) {
      left -= part.length;
      yield part;
    }
    if (left > 0) throw corrupt(this.archive, `ends ${left} bytes before the end of a file`);
    for await (const _padding of this.take((BLOCK - (size % BLOCK)) % BLOCK));
  }

  async bytes(size: number): Promise<Buffer> {
    if (size > 1 << 20) throw corrupt(this.archive, `holds a header of ${size} bytes`);
    const parts: Buffer[] = [];
    for await (const part of this.stream(size)) parts.push(part);
    return Buffer.concat(parts);
  }

  async close(): Promise<void> {
    await this.chunks.return(undefined);
  }

  private async *take(count: number): AsyncGenerator<Buffer> {
    for (let left = count; left > 0; ) {
      if (this.rest.length === 0) {
        const next = await this.chunks.next();
        if (next.done) return;
        this.rest = next.value;
      }
      const part = this.rest.subarray(0, left);
      this.rest = this.rest.subarray(part.length);
      left -= part.length;
      yield part;
    }
  }
}

function corrupt(archive: string, found: string): HubError {
  return new HubError('ERR_GEMMATUNE_HUB_CORRUPT', `The archive ${archive} ${found}.`);
}
