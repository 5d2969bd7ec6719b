/** The program as a caller sees it, for tests: streams, files and exit status. */
import { mkdtempSync, readFileSync } from 'node:fs';
import { cp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import type { Screen } from './command.js';
import { Stopped, type StopSignal } from './interrupts.js';
import { main } from './main.js';

/** The tiny golden model: made for 128 positions, 384 tokens. */
export const TINY = fileURLToPath(new URL('../../../test/golden/tiny', import.meta.url));
export const golden = (name: string) => JSON.parse(readFileSync(join(TINY, name), 'utf8'));

/** A folder for the tests of one file, and the paths in it. */
export function workFolder(): { folder: string; at: (...parts: string[]) => string } {
  const folder = mkdtempSync(join(tmpdir(), 'gemmatune-cli-'));
  afterAll(() => rm(folder, { recursive: true }));
  return { folder, at: (...parts) => join(folder, ...parts) };
}

/** A copy of the tiny model with room for the prompts of tool rows. */
export async function longModel(folder: string, positions = 2048): Promise<string> {
  await cp(TINY, folder, { recursive: true });
  const config = { ...golden('config.json'), max_position_embeddings: positions };
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  return folder;
}

export class Captured extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** Runs the program on `input`. `abortOn`: Ctrl-C, or another signal, as soon as stderr says this. */
export async function gemmatune(argv: string[], { input = '', abortOn = '', signal = 'SIGINT' as StopSignal } = {}) {
  const controller = new AbortController();
  const stdout = new Captured();
  const stderr = new Captured();
  const watched = stderr.write.bind(stderr);
  stderr.write = ((text: string) => {
    if (abortOn !== '' && text.includes(abortOn)) controller.abort(new Stopped(signal));
    return watched(text);
  }) as typeof stderr.write;
  const status = await main(argv, {
    stdin: Readable.from(input === '' ? [] : [Buffer.from(input)]),
    stdout: stdout as Screen,
    stderr: stderr as Screen,
    signal: controller.signal,
  });
  return { status, stdout: stdout.text, stderr: stderr.text };
}
export const lines = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
export const jsonl = (rows: unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

const tool = (name: string) => ({
  type: 'function',
  function: {
    name,
    description: name,
    parameters: { type: 'object', properties: { city: { type: 'string', description: 'c' } }, required: ['city'] },
  },
});
/** A row of prepare that offers get_weather. */
export const toolRow = (tool_name: string, tool_arguments: string, user_content = 'Weather in Porto?') => ({
  user_content,
  tool_name,
  tool_arguments,
  hf_tools: [tool('get_weather')],
});
