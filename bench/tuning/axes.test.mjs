import { describe, expect, it } from 'vitest';
import { spaceOf } from './axes.mjs';

/** @param {string} instructionSet */
const cpu = (instructionSet, cores = 8) => ({
  device: 'cpu',
  cores,
  instructionSet,
  fastBfloat16: instructionSet.includes('bf16'),
});
const trial = { batch: 2, sequences: 16, tokens: 4432 };
/** @param {import('./axes.mjs').Space} space @param {string} name @param {Partial<import('./axes.mjs').Setting>} changes */
const values = ({ start, axes }, name, changes = {}) =>
  axes.find((axis) => axis.name === name)?.directions({ ...start, ...changes });

describe('settings of a CPU', () => {
  const space = spaceOf(cpu('avx512+amx-bf16'), trial);

  it('start as finetune does', () => {
    expect(space.start).toEqual({
      dtype: 'bfloat16',
      threads: 8,
      kernels: 'automatic',
      batch: 2,
      tokensPerPass: null,
      recompute: 'elementwise',
    });
    expect(spaceOf(cpu('avx2'), trial).start.dtype).toBe('float32');
  });

  it('lead away from where they start', () => {
    expect(values(space, 'threads')).toEqual([[4, 2, 1], []]);
    expect(values(space, 'threads', { threads: 2 })).toEqual([[1], [4, 8]]);
    expect(values(space, 'dtype')).toEqual([['float32']]);
    expect(values(space, 'batch')).toEqual([[4, 8, 16], [1]]);
    expect(values(space, 'tokensPerPass')).toEqual([[1024, 2048, 4096]]);
    expect(values(space, 'tokensPerPass', { tokensPerPass: 2048 })).toEqual([[4096]]);
    expect(values(space, 'recompute')).toEqual([['blocks'], ['none']]);
    expect(values(space, 'recompute', { recompute: 'blocks' })).toEqual([[], ['elementwise', 'none']]);
  });

  it.each([
    ['avx512+amx-bf16', ['without AMX', 'avx512', 'avx2', 'portable']],
    ['avx512+avx512-bf16', ['avx512', 'avx2', 'portable']],
    ['avx512', ['avx2', 'portable']],
    ['avx2', ['portable']],
    ['portable', []],
  ])('have the kernels below %s', (instructionSet, names) => {
    const { environments } = spaceOf(cpu(instructionSet), trial);
    expect(Object.keys(environments)).toEqual(['automatic', ...names]);
    expect(environments.automatic).toEqual({});
    for (const name of names)
      expect(environments[name]).toEqual(name === 'without AMX' ? { GEMMATUNE_AMX: '0' } : { GEMMATUNE_CPU: name });
  });
});

describe('settings of a GPU', () => {
  it('are passes, recomputation and kernels: micro-batches are merged there', () => {
    const space = spaceOf({ ...cpu('avx2'), device: 'cuda:0', path: 'sm80' }, trial);
    expect(space.axes.map(({ name }) => name)).toEqual(['tokensPerPass', 'recompute', 'kernels']);
    expect(values(space, 'tokensPerPass')).toEqual([[4432, 2216, 1108]]);
    expect(values(space, 'kernels')).toEqual([['cuBLASLt'], ['sm75']]);
    expect(space.environments).toEqual({
      automatic: {},
      cuBLASLt: { GEMMATUNE_CUBLASLT: '1' },
      sm75: { GEMMATUNE_GPU: 'sm75' },
    });
    const turing = spaceOf({ ...cpu('avx2'), device: 'cuda', path: 'sm75' }, trial);
    expect(values(turing, 'kernels')).toEqual([['cuBLASLt']]);
  });
});
