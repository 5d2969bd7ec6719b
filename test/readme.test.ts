/** The programs of README and docs/typescript.md, run as they are printed. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const assets = join(root, 'packages/cli/assets/quickstart');
const programs = ['README.md', 'docs/typescript.md'].flatMap((page) =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/^```ts\n(.*?)^```/gms)].map(([, text]) => text!),
);
const work = mkdtempSync(join(tmpdir(), 'gemmatune-readme-'));
afterAll(() => rm(work, { recursive: true }));

interface Row {
  user_content: string;
  tool_name: string;
  tool_arguments: string;
  hf_tools: unknown[];
}
const rowsOf = (name: string, count: number): Row[] =>
  readFileSync(join(assets, name), 'utf8')
    .split('\n')
    .slice(0, count)
    .map((line) => JSON.parse(line));
const asMessages = ({ user_content: content, tool_name: name, tool_arguments, hf_tools: tools }: Row) => ({
  messages: [
    { role: 'user', content },
    {
      role: 'assistant',
      tool_calls: [{ type: 'function', function: { name, arguments: JSON.parse(tool_arguments) } }],
    },
  ],
  tools,
});
const KINDS = { 'rows of prepare': (row: Row): unknown => row, conversations: asMessages };

beforeAll(async () => {
  for (const [kind, made] of Object.entries(KINDS)) {
    const folder = join(work, kind);
    await mkdir(join(folder, 'node_modules'), { recursive: true });
    await symlink(join(root, 'packages/cli'), join(folder, 'node_modules/gemmatune'));
    await symlink(join(assets, 'model'), join(folder, 'model'));
    for (const [name, count] of [['train.jsonl', 8] as const, ['eval.jsonl', 4] as const])
      await writeFile(
        join(folder, name),
        rowsOf(name, count)
          .map((row) => `${JSON.stringify(made(row))}\n`)
          .join(''),
      );
    for (const [i, program] of programs.entries())
      for (const extension of ['mjs', 'mts']) await writeFile(join(folder, `program${i}.${extension}`), program);
  }
});

describe.skipIf(!existsSync(join(assets, 'model/model.safetensors')))("README's programs", () => {
  it('are there, and are TypeScript', async () => {
    expect(programs.length).toBeGreaterThanOrEqual(2);
    const cwd = join(work, 'conversations'); // out of reach of this project's tsconfig.json
    const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules/@types')];
    const strict = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2023', ...types];
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const files = programs.map((_, i) => `program${i}.mts`);
    await promisify(execFile)(process.execPath, [tsc, ...strict, ...files], { cwd });
  });

  const cases = Object.keys(KINDS).flatMap((kind) => programs.map((_, i) => [i, kind] as const));
  it.each(cases)('program %i runs on %s', async (i, kind) => {
    const folder = join(work, kind);
    await rm(join(folder, 'out'), { recursive: true, force: true });
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [`program${i}.mjs`], { cwd: folder });
    expect(stderr).toBe('');
    expect(stdout).toMatch(/learning_rate/);
    expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^[\d.]+ → [\d.]+$/);
    expect(existsSync(join(folder, 'out/model.safetensors'))).toBe(true);
  });
});
