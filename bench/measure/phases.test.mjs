import { expect, it } from 'vitest';
import { phaseOf, phaseSeconds } from './phases.mjs';

it.each([
  ['matmul_backward_weight', 'products'],
  ['attention_forward', 'attention'],
  ['linear_cross_entropy', 'head'],
  ['gather_rows', 'head'],
  ['rmsnorm_residual_rmsnorm_forward', 'elementwise'],
  ['qk_norm_rope_backward', 'elementwise'],
  ['geglu_forward', 'elementwise'],
  ['embedding_backward', 'embedding'],
  ['adamw_update', 'update'],
  ['something_new', 'other'],
])('%s is of %s', (op, phase) => expect(phaseOf(op)).toBe(phase));

it('adds up ops by phase and leaves out phases without any', () => {
  const profile = [
    { op: 'matmul_forward', seconds: 1 },
    { op: 'global_norm', seconds: 4 },
    { op: 'matmul_backward_input', seconds: 2 },
  ];
  expect(phaseSeconds(profile)).toEqual({ products: 3, update: 4 });
});
