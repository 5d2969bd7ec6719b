/** The commands on a GPU device, emulated: the job a user would run, and what they are told where there is no such device. */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemInfo } from '@gemmatune/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { gemmatune, golden, jsonl, lines, longModel, TINY, toolRow, workFolder } from './program.case.js';

const { at } = workFolder();
const DEVICE = ['--device', 'emulated'];
const { sequences } = golden('forward.json') as { sequences: { ids: number[]; labels: number[] }[] };

beforeAll(async () => {
  await longModel(at('bare'), 512);
  // Learnable: each row repeats one id.
  const rows = Array.from({ length: 12 }, (_, i) => {
    const ids = [2, ...Array.from({ length: 6 + (i % 4) }, () => 20 + (i % 3))];
    return { input_ids: ids, labels: ids };
  });
  await writeFile(at('train.jsonl'), jsonl(rows));
});

describe.runIf(systemInfo().backends.includes('emulated'))('on the emulated GPU', () => {
  it('scores and generates as on the CPU, up to bfloat16', async () => {
    const input = jsonl(
      sequences
        .filter(({ labels }) => labels.slice(1).some((label) => label !== -100))
        .slice(0, 2)
        .map(({ ids, labels }) => ({ input_ids: ids, labels })),
    );
    const score = ['score', '--model', TINY, '--dtype', 'bfloat16'];
    const cpu = await gemmatune(score, { input });
    const gpu = await gemmatune([...score, ...DEVICE], { input });
    expect([cpu.status, gpu.status]).toEqual([0, 0]);
    const expected = lines(cpu.stdout);
    for (const [i, { loss }] of lines(gpu.stdout).entries())
      expect(Math.abs(loss / expected[i].loss - 1)).toBeLessThan(0.01);

    const prompt = jsonl([{ input_ids: [2, 5, 9] }]);
    const generated = await gemmatune(['generate', '--model', TINY, '--max-new-tokens', '3', ...DEVICE], {
      input: prompt,
    });
    expect(generated.status).toBe(0);
    expect(lines(generated.stdout)[0].output_ids).toHaveLength(3);
  });

  it('fine-tunes and evaluates, says its plan, and learns what the CPU learns', async () => {
    const train = (out: string, ...more: string[]) => [
      ...['finetune', '--model', at('bare'), '--train', at('train.jsonl'), '--output-dir', at(out)],
      ...['--per-device-train-batch-size', '2', '--gradient-accumulation-steps', '3', '--max-steps', '3'],
      ...['--learning-rate', '0.01', '--logging-steps', '1', '--dtype', 'bfloat16', ...more],
    ];
    const cpu = await gemmatune(train('cpu'));
    const gpu = await gemmatune(train('gpu', ...DEVICE));
    expect([cpu.status, gpu.status], gpu.stderr).toEqual([0, 0]);
    expect(gpu.stderr).toMatch(/1 pass .*nothing recomputed/i);
    const history = async (out: string) =>
      JSON.parse(await readFile(at(out, 'trainer_state.json'), 'utf8')).log_history.filter(
        (row: { loss?: number }) => row.loss !== undefined,
      ) as { loss: number }[];
    const [onCpu, onGpu] = [await history('cpu'), await history('gpu')];
    expect(onGpu).toHaveLength(3);
    for (const [i, { loss }] of onGpu.entries()) expect(Math.abs(loss / onCpu[i]!.loss - 1)).toBeLessThan(0.02);
    expect(onGpu[2]!.loss).toBeLessThan(onGpu[0]!.loss);
    expect(existsSync(join(at('gpu'), 'model.safetensors'))).toBe(true);

    await writeFile(at('tools.jsonl'), jsonl([toolRow('get_weather', '{"city": "Porto"}')]));
    const evaluate = ['evaluate', '--model', at('gpu'), '--rows', at('tools.jsonl'), '--max-new-tokens', '4', '--json'];
    const evaluated = await gemmatune([...evaluate, ...DEVICE]);
    expect(evaluated.status).toBe(0);
    expect(evaluated.stdout).toContain('tool_accuracy');
  });
});

describe('a device that is not there', () => {
  it('is refused with the reason before any work, never replaced', async () => {
    const { status, stdout, stderr } = await gemmatune(['generate', '--model', TINY, '--device', 'cuda:4096'], {
      input: jsonl([{ input_ids: [2] }]),
    });
    expect(status).not.toBe(0);
    expect(stdout).toBe('');
    expect(stderr).toMatch(
      /no cuda backend|no NVIDIA driver|driver is too old|shows no GPU|device 4096 does not exist/,
    );
  });
});
