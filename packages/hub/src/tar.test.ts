import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { base256, paxHeader, tarEntry, tarOf } from './tar.case.js';
import { extractTar } from './tar.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tar-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function unpack(archive: Buffer): Promise<string[]> {
  await writeFile(join(folder, 'a.tar'), archive);
  return extractTar(join(folder, 'a.tar'), join(folder, 'out'));
}

/** The sentence that refuses an archive, which must name it and be of the one code. */
async function fault(archive: Buffer): Promise<string> {
  const error = await unpack(archive).catch((caught) => caught);
  await rm(join(folder, 'out'), { recursive: true, force: true });
  expect(error).toMatchObject({ code: 'ERR_GEMMATUNE_HUB_CORRUPT' });
  expect(error.message).toContain(join(folder, 'a.tar'));
  return error.message;
}

describe('extractTar', () => {
  const long = `${'deep/'.repeat(40)}file.txt`;
  it.each([['ustar'], ['gnu'], ['pax']])('unpacks what tar writes in %s format', async (format) => {
    const source = join(folder, 'source');
    const path = format === 'ustar' ? `${'deep/'.repeat(25)}${'f'.repeat(90)}` : long;
    await mkdir(join(source, path, '..'), { recursive: true });
    await writeFile(join(source, path), 'long');
    await writeFile(join(source, 'empty'), '');
    await writeFile(join(source, 'weights'), Buffer.alloc(2_000_001, 9));
    execFileSync('tar', ['-czf', join(folder, 'a.tar.gz'), `--format=${format}`, '-C', source, '.']);
    const names = await extractTar(join(folder, 'a.tar.gz'), join(folder, 'out'));
    expect(names.sort()).toEqual([path, 'empty', 'weights'].sort());
    expect(await readFile(join(folder, 'out', path), 'utf8')).toBe('long');
    expect((await readFile(join(folder, 'out/weights'))).equals(Buffer.alloc(2_000_001, 9))).toBe(true);
  });

  it('refuses names that leave the folder', async () => {
    for (const name of ['../evil', '/evil', 'a/../../evil', '..\\evil', 'C:evil']) {
      await expect(unpack(tarOf(tarEntry(name, 'x')))).rejects.toThrow(`holds the file name ${JSON.stringify(name)}`);
    }
    expect(await readdir(folder)).toEqual(['a.tar']);
  });

  it.each([
    ['pax', (name: string) => paxHeader(`path=${name}`)],
    ['gnu', (name: string) => tarEntry('long', `${name}\0`, 'L')],
  ])('judges the long names of %s, not the short ones', async (_, header) => {
    await expect(unpack(tarOf(header('../evil'), tarEntry('good', 'x')))).rejects.toThrow('file name "../evil"');
    expect(await unpack(tarOf(header('good'), tarEntry('../evil', 'x')))).toEqual(['good']);
    expect(await readdir(folder)).toEqual(['a.tar', 'out']);
  });

  it('refuses links, devices and what it does not know', async () => {
    const kinds = ['1 link', '2 symlink', '3 character-device', '4 block-device', '6 fifo', 'S unknown', 'V unknown'];
    for (const [flag, kind] of kinds.map((each) => each.split(' '))) {
      const text = `holds "thing" of the type ${kind}: expected files and folders only`;
      await expect(unpack(tarOf(tarEntry('thing', '', flag))), kind).rejects.toThrow(text);
    }
    expect(await readdir(folder)).toEqual(['a.tar']);
    expect(await unpack(tarOf(tarEntry('thing', '', '7')))).toEqual(['thing']);
  });

  it('refuses a second entry of a name, which would write through what the first one made', async () => {
    const [file, other, inside] = [tarEntry('a', '1'), tarEntry('./a', '2'), tarEntry('a/b', '3')];
    for (const entries of [
      [file, file],
      [file, other],
      [file, inside],
      [inside, file],
      [file, tarEntry('a/', '', '5')],
    ]) {
      const text = /The archive .* holds "a(\/b)?" where something is already: expected every name once/;
      await expect(unpack(tarOf(...entries))).rejects.toThrow(text);
      await rm(join(folder, 'out'), { recursive: true });
    }
    await mkdir(join(folder, 'out'));
    await writeFile(join(folder, 'precious'), 'kept');
    await symlink('../precious', join(folder, 'out/link'));
    await expect(unpack(tarOf(tarEntry('link', 'overwritten')))).rejects.toThrow('where something is already');
    expect(await readFile(join(folder, 'precious'), 'utf8')).toBe('kept');
  });

  it('says how an archive is damaged', async () => {
    const good = tarOf(tarEntry('a', 'x'.repeat(1000)));
    expect(await fault(good.subarray(0, 700))).toContain(
      'is damaged or no tar archive (Unexpected end of data): downl',
    );
    expect(await fault(good.subarray(0, -1))).toContain('(Unexpected end of data)');
    expect(await fault(good.subarray(0, -512))).toContain('ends without the mark of its end, so it was cut off');
    expect(await fault(Buffer.alloc(512, 'html'))).toContain('(Invalid tar header');
    expect(await fault(gzipSync(good).subarray(0, 30))).toContain('(unexpected end of file)');
    expect(await fault(Buffer.from('PK\x03\x04 zip'))).toContain('is a zip file');
    expect(await fault(Buffer.alloc(0))).toContain('ends without the mark of its end');
    expect(await fault(tarOf())).toContain('holds no files');
    expect(await fault(Buffer.concat([good, Buffer.from('x'.repeat(512))]))).toContain('(Invalid tar header');
    const long = tarOf(tarEntry('long', `${'n'.repeat(300)}\0`, 'L'), tarEntry('a', ''));
    await expect(unpack(long)).rejects.toMatchObject({ code: 'ERR_GEMMATUNE_HUB_DISK' });
  });

  it('takes what follows an end for more of the same', async () => {
    const two = Buffer.concat([tarOf(tarEntry('a', '1')), tarOf(tarEntry('b', '2'))]);
    expect(await unpack(two)).toEqual(['a', 'b']);
    await rm(join(folder, 'out'), { recursive: true });
    expect(await fault(Buffer.concat([two, tarOf(tarEntry('../c', '3'))]))).toContain('holds the file name "../c"');
  });
});

describe('a damaged archive', () => {
  const zeros = Buffer.alloc(2048); // could pass for the mark of the end
  const archive = tarOf(
    tarEntry('config.json', 'x'.repeat(1000)),
    tarEntry('sub/', '', '5'),
    tarEntry('sub/empty', ''),
    tarEntry('sub/zeros', zeros),
    paxHeader(`path=${'p'.repeat(80)}`),
    tarEntry('short', 'y'.repeat(512)),
    tarEntry('long', `${'g/'.repeat(60)}h\0`, 'L'),
    tarEntry('short', 'z'.repeat(513), '0', base256(513n)),
    tarEntry('last', zeros),
  );

  it('is refused wherever it was cut off', async () => {
    expect((await unpack(archive)).length).toBe(6);
    const cuts = Array.from({ length: archive.length / 512 }, (_, block) => [0, 1, 511].map((at) => block * 512 + at));
    for (const cut of cuts.flat())
      expect(await fault(archive.subarray(0, cut)), `at ${cut}`).toMatch(/damaged|cut off/);
  });

  it('is refused wherever its compressed form was cut off', async () => {
    const packed = gzipSync(archive);
    expect((await unpack(packed)).length).toBe(6);
    for (let cut = 0; cut < packed.length; cut += 7) {
      expect(await fault(packed.subarray(0, cut)), `at ${cut}`).toMatch(/damaged|cut off/);
    }
  });

  it('is refused whatever byte of a header is wrong', async () => {
    for (let at = 0; at < 512; at++) {
      if (at === 154 || at === 155) continue; // what stands behind the digits of the checksum
      const wrong = Buffer.from(archive);
      wrong[at]! ^= 1;
      expect(await fault(wrong), `byte ${at}`).toContain('Invalid tar header');
    }
  });

  it.each([
    ['the largest octal size', tarEntry('a', 'x', '0', '77777777777\0')],
    ['text for a size', tarEntry('a', 'x', '0', 'abc\0')],
    ['a size of 2^62', tarEntry('a', 'x', '0', base256(1n << 62n))],
    ['a size that fills its field', tarEntry('a', 'x', '0', base256((1n << 88n) - 1n, '\x81'))],
    ['a negative size', tarEntry('a', 'x', '0', base256((1n << 88n) - 5n, '\xff'))],
    ['a negative size in PAX', Buffer.concat([paxHeader('size=-5000'), tarEntry('a', 'x')])],
    ['text for a size in PAX', Buffer.concat([paxHeader('size=large'), tarEntry('a', 'x')])],
    ['a huge size in PAX', Buffer.concat([paxHeader('size=1000000000000000000000'), tarEntry('a', 'x')])],
    ['a name of 5 MB', Buffer.concat([tarEntry('long', Buffer.alloc(5_000_000, 'n'), 'L'), tarEntry('a', 'x')])],
    ['a name of a size that fills its field', tarEntry('long', 'x', 'L', base256((1n << 88n) - 1n, '\x81'))],
    ['content behind a folder', tarEntry('folder', 'x', '5')],
  ])('with %s is refused', async (_, entry) => {
    expect(await fault(tarOf(entry, tarEntry('b', 'y'.repeat(5000))))).toMatch(/damaged|impossible size/);
  });
});

describe('extractTar on abort', () => {
  it('stops in the middle of a file', async () => {
    await writeFile(join(folder, 'a.tar'), gzipSync(tarOf(tarEntry('weights', Buffer.alloc(100_000_000)))));
    const stop = new AbortController();
    const run = extractTar(join(folder, 'a.tar'), join(folder, 'out'), stop.signal);
    const weights = join(folder, 'out/weights');
    const begun = async () => (await stat(weights).catch(() => undefined))?.size;
    while (!(await begun())) await new Promise(setImmediate);
    stop.abort(new Error('enough'));
    await expect(run).rejects.toThrow('enough');
    expect((await stat(weights)).size).toBeLessThan(100_000_000);
    await rm(join(folder, 'out'), { recursive: true });
    await expect(extractTar(join(folder, 'a.tar'), join(folder, 'out'), stop.signal)).rejects.toThrow('enough');
    expect(await readdir(folder)).toEqual(['a.tar']);
  });
});
