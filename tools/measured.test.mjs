import { describe, expect, it } from 'vitest';
import { measured, words } from './measured.mjs';

const node = (program) => measured(process.execPath, ['-e', program]);

describe('measured', () => {
  it.skipIf(process.platform !== 'linux')('tells what a program printed and took', async () => {
    const work =
      'const held = Buffer.alloc(2e8, 1); const end = Date.now() + 900; while (Date.now() < end); console.log(held.length);';
    const { stdout, seconds, cpuSeconds, peakBytes } = await node(work);
    expect(stdout).toBe('200000000\n');
    expect(seconds).toBeGreaterThan(0.9);
    expect(cpuSeconds).toBeGreaterThan(0);
    expect(peakBytes).toBeGreaterThan(2e8);
  });

  it('has the end of what a failing program said', async () => {
    await expect(node('console.error("no such row"); process.exit(3)')).rejects.toThrow(/status 3\nno such row/);
  });

  it('writes options as a command line has them', () => {
    expect(words({ maxNewTokens: 64, masterWeights: false, json: true, format: 'native' })).toEqual([
      '--max-new-tokens',
      '64',
      '--no-master-weights',
      '--json',
      '--format',
      'native',
    ]);
  });
});
