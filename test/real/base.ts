// The real base, its golden files and rows. Everything here is skipped, by name, where the folder that tools/real-base makes is not given.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ToolRow } from '@gemmatune/schema';
import { readArrays, readJson } from '../golden/load.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const given = process.env.GEMMATUNE_REAL_BASE;

/** The model folder, where there is one. */
export const base: string | undefined =
  given !== undefined && existsSync(join(resolve(root, given), 'model.safetensors')) ? resolve(root, given) : undefined;

/** What a suite's name ends in where it is skipped. */
export const without = base === undefined ? ' (skipped: needs the real base, see tools/real-base/README.md)' : '';

interface Prompts {
  /** sha256 of model.safetensors */
  weights: string;
  rows: { row: number; prompt: number[]; answer: number[] }[];
}
export const prompts = readJson<Prompts>('real/prompts.json');
/** PyTorch's own errors of log-probabilities of the first sequences, against float64. */
export const errors = readJson<Record<'float32' | 'bfloat16', { rms: number; largest: number }[]>>('real/forward.json');
export const generation = readJson<{ maxNewTokens: number; rows: { greedy: number[]; leads: number[] }[] }>(
  'real/generation.json',
);
/** logprobs.<i>, probed.<i> */
export const floats = readArrays('real/forward.safetensors', 'F32', Float32Array);
/** truth.<i> */
export const doubles = readArrays('real/forward.safetensors', 'F64', Float64Array);
/** targets.<i> */
export const ids = readArrays('real/forward.safetensors', 'I32', Int32Array);

export const sequences: number[][] = prompts.rows.map(({ prompt, answer }) => [...prompt, ...answer]);

export function requireSameWeights(): void {
  const found = createHash('sha256')
    .update(readFileSync(join(base!, 'model.safetensors')))
    .digest('hex');
  if (found !== prompts.weights)
    throw new Error(
      `${base}/model.safetensors has sha256 ${found}; the golden files are of ${prompts.weights}: remake one of them`,
    );
}

const OFFERED = 4;

/** The hand-written rows of the concierge, each with its own function and those that follow it in the list. */
export async function rows(): Promise<ToolRow[]> {
  const path = new URL('../../tools/settings/concierge/make.mjs', import.meta.url).href;
  const { evaluationRows } = (await import(path)) as { evaluationRows: () => Promise<ToolRow[]> };
  return (await evaluationRows()).map((row) => {
    const own = row.hf_tools.findIndex((tool) => tool.function.name === row.tool_name);
    const kept = Array.from({ length: OFFERED }, (_, k) => (own + k) % row.hf_tools.length).sort((a, b) => a - b);
    return { ...row, hf_tools: kept.map((i) => row.hf_tools[i]!) };
  });
}
