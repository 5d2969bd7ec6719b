import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { GemmatuneError, InputError } from './errors.js';
import { readJsonFile, readJsonIfThere, readTextIfThere } from './json-file.js';
import { openWhole, writeWhole } from './whole-file.js';

const folder = await mkdtemp(join(tmpdir(), 'gemmatune-base-'));
const path = join(folder, 'a.json');
beforeEach(() => writeFile(path, 'old'));
afterAll(() => rm(folder, { recursive: true }));

describe('writeWhole', () => {
  it('shows nothing of a file before all of it is there', async () => {
    const result = await writeWhole(path, async (put) => {
      await put('ne');
      expect(await readFile(path, 'utf8')).toBe('old');
      await put(Buffer.from('w'));
      return 7;
    });
    expect(result).toBe(7);
    expect(await readFile(path, 'utf8')).toBe('new');
    expect(await readdir(folder)).toEqual(['a.json']);
  });
  it('leaves the older file and nothing else where the work fails', async () => {
    const failed = writeWhole(path, async (put) => {
      await put('half');
      throw new Error('stopped');
    });
    await expect(failed).rejects.toThrow('stopped');
    expect(await readFile(path, 'utf8')).toBe('old');
    expect(await readdir(folder)).toEqual(['a.json']);
  });
  it('several files appear when all are on the disk', async () => {
    const [a, b] = [await openWhole(path), await openWhole(join(folder, 'b.json'))];
    for (const file of [a, b]) {
      await file.put('1');
      await file.finish();
    }
    expect(await readFile(path, 'utf8')).toBe('old');
    await a.appear();
    await b.discard();
    expect(await readFile(path, 'utf8')).toBe('1');
    expect(await readdir(folder)).toEqual(['a.json']);
  });
  it('names the file that cannot be written', async () => {
    const nowhere = join(folder, 'no', 'a.json');
    const failed = writeWhole(nowhere, async () => expect.unreachable());
    await expect(failed).rejects.toThrow(`${nowhere} cannot be written: the folder it is to be in is not there.`);
    await expect(failed).rejects.toBeInstanceOf(InputError);
  });
  it.skipIf(process.platform !== 'linux')('writes to a device as it is, and says that it is full', async () => {
    await writeWhole('/dev/null', (put) => put('x'));
    const failed = writeWhole('/dev/full', (put) => put('x'));
    await expect(failed).rejects.toThrow('/dev/full cannot be written: no space is left on the disk.');
  });
});

describe('json files', () => {
  class Refused extends GemmatuneError<'ERR_GEMMATUNE_X'> {}
  const refuse = (what: string, cause: unknown) => new Refused('ERR_GEMMATUNE_X', `here: ${what}.`, { cause });
  it('are read', async () => {
    await writeFile(path, '{"a": [1]}');
    expect(await readJsonFile(path, refuse)).toEqual({ a: [1] });
    expect(await readJsonIfThere(path, refuse)).toEqual({ a: [1] });
    expect(await readTextIfThere(path)).toBe('{"a": [1]}');
  });
  it('may be missing where that is allowed', async () => {
    for (const missing of [join(folder, 'no.json'), join(path, 'no.json')]) {
      expect(await readTextIfThere(missing)).toBeUndefined();
      expect(await readJsonIfThere(missing, refuse)).toBeUndefined();
    }
    await expect(readJsonFile(join(folder, 'no.json'), refuse)).rejects.toThrow('here: there is no such file.');
  });
  it('are refused in the words of the caller', async () => {
    for (const read of [readJsonFile, readJsonIfThere]) {
      const failed = read(path, refuse);
      await expect(failed).rejects.toThrow(/^here: .*JSON\.$/);
      await expect(failed).rejects.toMatchObject({
        name: 'Refused',
        code: 'ERR_GEMMATUNE_X',
        cause: expect.any(SyntaxError),
      });
      await expect(read(folder, refuse)).rejects.toThrow('here: this is a folder.');
    }
  });
});
