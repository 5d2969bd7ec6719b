import { describe, expect, it } from 'vitest';
import { bars, bestOf, parseRun, tables } from './op-times.mjs';

const json = (/** @type {object[]} */ lines) => lines.map((line) => JSON.stringify(line)).join('\n');
/** @param {Partial<import('./op-times.mjs').OpCall>} fields */
const call = (fields) => ({
  device: 'cpu',
  op: 'matmul_forward',
  shape: 'qkv 554x1536x640',
  dtype: 'bfloat16',
  bytes: 4e6,
  flops: 1e9,
  boundBy: 'fma bfloat16',
  callsPerStep: { completion: 18, full: 18 },
  ...fields,
});
/** @param {{ rate: number, calls: object[], instructionSet?: string }} of */
const run = ({ rate, calls, instructionSet = 'avx512+avx512-bf16' }) =>
  parseRun(
    json([
      { device: 'cpu', instructionSet, threads: 2 },
      { limit: 'copy', device: 'cpu', family: 'memcpy', bytesPerSecond: 4e10 },
      { limit: 'fma bfloat16', device: 'cpu', family: 'avx512bf16', flopsPerSecond: rate },
      ...calls,
    ]),
  );

describe('bestOf', () => {
  it('keeps the shortest time, and takes its share of the highest limit', () => {
    const { limits, calls } = bestOf([
      run({ rate: 4e11, calls: [call({ seconds: 0.004, share: 0.625 })] }),
      run({ rate: 5e11, calls: [call({ seconds: 0.005, share: 0.4 })] }),
    ]);
    expect(limits.map((line) => [line.limit, line.flopsPerSecond ?? line.bytesPerSecond])).toEqual([
      ['copy', 4e10],
      ['fma bfloat16', 5e11],
    ]);
    const [best] = calls;
    expect(best.seconds).toBe(0.004);
    expect(best.share).toBeCloseTo(0.5, 12); // 1e9 flops / 0.004 s of 5e11
  });

  it('leaves calls without a limit without a share, and keeps instruction sets apart', () => {
    const step = call({
      op: 'training_step',
      shape: 'full 2x277',
      seconds: 3,
      share: null,
      boundBy: null,
      flops: 0,
      bytes: 0,
    });
    const { limits, calls } = bestOf([
      run({ rate: 4e11, calls: [step] }),
      run({ rate: 1e11, calls: [{ ...step, seconds: 5 }], instructionSet: 'avx2' }),
    ]);
    expect(calls.map(({ seconds, share, instructionSet }) => [seconds, share, instructionSet])).toEqual([
      [3, null, 'avx512+avx512-bf16'],
      [5, null, 'avx2'],
    ]);
    expect(limits.filter(({ limit }) => limit === 'fma bfloat16')).toHaveLength(2);
  });
});

describe('bars', () => {
  const products = [
    call({ seconds: 0.003, share: 0.8 }),
    call({ shape: 'head 512x262144x640', op: 'matmul_backward_input', seconds: 0.5, share: 0.74 }),
    call({ shape: 'qkv 16x1536x640', seconds: 0.001, share: 0.1 }),
    call({ op: 'rmsnorm_forward', shape: '554x640', seconds: 0.001, share: 0.2, boundBy: 'copy' }),
  ];

  it('take the lowest share among products of a training pass', () => {
    expect(bars(bestOf([run({ rate: 4e11, calls: products })]).calls)).toMatchObject([
      { bar: 0.75, value: 0.74, unit: 'share', met: false, at: 'matmul_backward_input head 512x262144x640' },
    ]);
  });

  it('are there only where they were measured', () => {
    expect(bars(bestOf([run({ rate: 4e11, calls: products, instructionSet: 'avx512' })]).calls)).toEqual([]);
    expect(bars([])).toEqual([]);
  });
});

it('tables name the limits and the one that binds', () => {
  const [text] = tables(bestOf([run({ rate: 4e11, calls: [call({ seconds: 0.004, share: 0.625 })] })]));
  expect(text).toContain('cpu, avx512+avx512-bf16, bfloat16; limits: copy 40.00 GB/s, fma bfloat16 400.0 GFLOP/s');
  expect(text).toMatch(/matmul_forward +qkv 554x1536x640 +4\.000 .* 63 % +fma bfloat16$/m);
});
