/** A ustar header and its padded content, for tests that need archives no honest tar would write. */
export function tarEntry(name: string, content: string | Buffer, type = '0', size?: string): Buffer {
  const body = Buffer.from(content);
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write('0000644\0', 100);
  header.write(size ?? `${body.length.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  header.write(' '.repeat(8), 148);
  header.write(type, 156);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}

/** The size field of GNU tar for what octal digits cannot say: a mark, and the number in base 256. */
export const base256 = (size: bigint, mark = '\x80') =>
  mark + Buffer.from(size.toString(16).padStart(22, '0'), 'hex').toString('latin1');

/** An extended header of PAX: records that count their own length (two digits here), for the entry after it. */
export const paxHeader = (record: string) => tarEntry('pax', `${record.length + 4} ${record}\n`, 'x');

export function tarOf(...entries: Buffer[]): Buffer {
  return Buffer.concat([...entries, Buffer.alloc(1024)]);
}
