// Which phase of an optimizer step each op of the core belongs to.
/** @type {[phase: string, ops: RegExp][]} */
const PHASES = [
  ['products', /^matmul_/],
  ['attention', /^attention_/],
  ['head', /^(linear_cross_entropy|cross_entropy_|gather_rows|scatter_rows)/],
  ['elementwise', /^(rmsnorm|qk_norm_rope|geglu)/],
  ['embedding', /^embedding/],
  ['update', /^(global_norm|adamw_update)/],
];

/** @param {string} op e.g. 'matmul_forward' */
export const phaseOf = (op) => PHASES.find(([, ops]) => ops.test(op))?.[0] ?? 'other';

/**
 * @param {readonly { op: string, seconds: number }[]} profile of one step
 * @returns {Record<string, number>} seconds by phase, in the order above
 */
export function phaseSeconds(profile) {
  /** @type {Record<string, number>} */
  const phases = {};
  for (const name of [...PHASES.map(([phase]) => phase), 'other']) {
    const ops = profile.filter(({ op }) => phaseOf(op) === name);
    if (ops.length > 0) phases[name] = ops.reduce((sum, { seconds }) => sum + seconds, 0);
  }
  return phases;
}
