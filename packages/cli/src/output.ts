import { once } from 'node:events';
import type { Writable } from 'node:stream';

/** Writes to a stream, and waits where the reader is slower. */
export async function write(stream: Writable, text: string): Promise<void> {
  if (!stream.write(text)) await once(stream, 'drain');
}
