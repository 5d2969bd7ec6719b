import { describe, expect, it } from 'vitest';
import { describeMachine, machineId } from './machine.mjs';

const machine = { cpu: 'AMD EPYC', instructionSet: 'avx512+avx512-bf16', cores: 2, gpus: [] };

describe('machineId', () => {
  it.each([
    [{}, 'amd-epyc-avx512-bf16-2c'],
    [{ cpu: 'AMD EPYC 9654 96-Core Processor', cores: 96 }, 'amd-epyc-9654-avx512-bf16-96c'],
    [{ cpu: 'Intel(R) Xeon(R) Platinum 8488C', instructionSet: 'avx512+amx' }, 'intel-xeon-platinum-8488c-amx-2c'],
    [{ cpu: 'Intel(R) Xeon(R) CPU @ 2.00GHz', instructionSet: 'avx2' }, 'intel-xeon-avx2-2c'],
    [{ gpus: [{ name: 'Tesla T4' }, { name: 'Tesla T4' }] }, 'amd-epyc-avx512-bf16-2c-tesla-t4x2'],
  ])('%j', (given, id) => expect(machineId({ ...machine, ...given })).toBe(id));

  it('of this machine is a name for a folder', () => expect(describeMachine().id).toMatch(/^[a-z0-9-]+$/));
});
