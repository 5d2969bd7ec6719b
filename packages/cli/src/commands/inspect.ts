import { basename } from 'node:path';
import { counted, flag, integer } from '@gemmatune/base';
import { Model, readModelTensors, type TensorEntry, textTensors } from '@gemmatune/engine';
import { ModelText, megabytes, readModelConfig, trainingMemory } from '@gemmatune/run';
import { command } from '../command.js';
import { table } from '../terminal/table.js';

export const inspect = command({
  usage: 'DIR [--check]',
  positionals: ['DIR'],
  options: {
    tokens: integer('Tokens of a micro-batch, for the prediction of memory.', 1024, { min: 1 }),
    check: flag('Read all weights too: is everything there, of the shapes in config.json, and are all numbers finite?'),
  },
  async run({ tokens, check }, context, [folder]) {
    const { config, json } = await readModelConfig(folder!);
    const tensors = await readModelTensors(folder!);
    const parameters = Array.from(textTensors(tensors), ([name, { shape }]) => ({ name, shape })).sort(byLayer);
    if (check) await (await Model.load(folder!, { dtype: 'float32' })).dispose();
    const total = parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    const { layerTypes, ...shapes } = config;
    const result = {
      folder: folder!,
      ...shapes,
      layerTypes: layerTypes.map((kind) => kind.replace('_attention', '')).join(' '),
      dtype: json.dtype ?? json.torch_dtype ?? 'not said',
      parameters: total,
      files: storedFiles(tensors.values()),
      tokenizer: await tokenizerKind(folder!),
      template: await templateKind(folder!),
      memory: Object.fromEntries(
        (['float32', 'bfloat16'] as const).map((dtype) => {
          const { state, activationsPerToken, activationsPerTokenWithCheckpointing } = trainingMemory(
            config,
            total,
            dtype,
          );
          const of = (perToken: number) => state + perToken * tokens;
          return [
            dtype,
            {
              training: of(activationsPerToken),
              with_gradient_checkpointing: of(activationsPerTokenWithCheckpointing),
            },
          ];
        }),
      ),
    };
    if (context.json) await context.print(`${JSON.stringify({ ...result, tensors: parameters })}\n`);
    else {
      const { memory, files, ...plain } = result;
      const lines = Object.entries(plain).map(([key, value]) => [
        key,
        Array.isArray(value) ? value.join(', ') : String(value),
      ]);
      for (const { name, dtypes, tensors: held, bytes } of files)
        lines.push([name, `${counted(held, 'tensor')} in ${dtypes.join(' and ')}, ${megabytes(bytes)}`]);
      for (const [dtype, { training, with_gradient_checkpointing: less }] of Object.entries(memory))
        lines.push([
          `training in ${dtype}`,
          `about ${megabytes(training!)} with ${counted(tokens, 'token')} a micro-batch, ${megabytes(less!)} with gradient checkpointing`,
        ]);
      await context.print(`${table([['what', 'value'], ...lines], context.stdout.columns)}\n`);
      const shapesOf = parameters.map(({ name, shape }) => [name, shape.join(' x ')]);
      await context.print(
        `\n${table([['tensor', 'shape'], ...(context.verbose ? shapesOf : firstLayer(shapesOf))])}\n`,
      );
    }
    return undefined;
  },
});

/** What each file of weights holds, as it is stored. */
function storedFiles(tensors: Iterable<TensorEntry>) {
  const files = new Map<string, { name: string; dtypes: string[]; tensors: number; bytes: number }>();
  for (const { path, dtype, shape } of tensors) {
    const name = basename(path);
    const file = files.get(name) ?? { name, dtypes: [], tensors: 0, bytes: 0 };
    if (!file.dtypes.includes(dtype)) file.dtypes.push(dtype);
    file.tensors++;
    file.bytes += shape.reduce((a, b) => a * b, 1) * (dtype === 'float32' ? 4 : 2);
    files.set(name, file);
  }
  return [...files.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The embedding first, then layer 0, 1, …, 10. */
function byLayer({ name: a }: { name: string }, { name: b }: { name: string }): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

/** The layers are alike: one of them says it. */
function firstLayer(rows: string[][]): string[][] {
  return rows.filter(([name]) => !/\.layers\.(?!0\.)/.test(name!));
}

async function tokenizerKind(folder: string): Promise<string> {
  const source = new ModelText(folder);
  if (!(await source.hasTokenizer())) return 'none';
  return source.tokenizer().then(
    ({ vocabSize }) => `BPE, ${vocabSize} tokens`,
    (error: Error) => `unusable: ${error.message}`,
  );
}

async function templateKind(folder: string): Promise<string> {
  return new ModelText(folder).template().then(
    ({ kind }) => (kind === 'functiongemma' ? "FunctionGemma's (rendered natively)" : 'a Jinja template'),
    () => 'none',
  );
}
