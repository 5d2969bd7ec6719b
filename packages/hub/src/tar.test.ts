import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tarEntry, tarOf } from './tar.case.js';
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

  it('refuses links, and a second entry that would write through what the first one made', async () => {
    await expect(unpack(tarOf(tarEntry('link', '', '2')))).rejects.toThrow('of tar type "2" (a link or device)');
    await expect(unpack(tarOf(tarEntry('hard', '', '1')))).rejects.toThrow('of tar type "1"');
    await mkdir(join(folder, 'out'));
    await writeFile(join(folder, 'precious'), 'kept');
    await symlink('../precious', join(folder, 'out/link'));
    await expect(unpack(tarOf(tarEntry('link', 'overwritten')))).rejects.toThrow('EEXIST');
    expect(await readFile(join(folder, 'precious'), 'utf8')).toBe('kept');
  });

  it('says how an archive is damaged', async () => {
    const good = tarOf(tarEntry('a', 'x'.repeat(1000)));
    await expect(unpack(good.subarray(0, 700))).rejects.toThrow('ends 812 bytes before the end of a file');
    await expect(unpack(good.subarray(0, 100))).rejects.toThrow('ends in the middle of a header');
    await rm(join(folder, 'out'), { recursive: true });
    await expect(unpack(Buffer.alloc(512, 'html'))).rejects.toThrow('a header checksum is wrong');
    await expect(unpack(gzipSync(good).subarray(0, 30))).rejects.toThrow(/cannot be unpacked \(.*end of file/);
    await expect(unpack(Buffer.from('PK\x03\x04 zip'))).rejects.toThrow('is a zip file');
  });
});
