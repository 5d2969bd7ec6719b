import { Model } from '@gemmatune/engine';
import { command } from '../command.js';
import { trainingMemory } from '../memory.js';
import { ModelText, megabytes, readModelConfig } from '../model-source.js';
import { count } from '../options.js';
import { table } from '../terminal/table.js';

export const inspect = command({
  usage: 'DIR',
  positionals: ['DIR'],
  notes: ['Reads all weights: a folder that is shown here is complete, and none of its numbers is infinite or NaN.'],
  options: { tokens: count('Tokens of a micro-batch, for the prediction of memory.', 1024, 1) },
  async run({ tokens }, context, [folder]) {
    const { config, json } = await readModelConfig(folder!);
    await using model = await Model.load(folder!, { dtype: 'float32' });
    const parameters = model.parameters.map(({ name, shape }) => ({ name, shape }));
    const total = parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    const { layerTypes, ...shapes } = config;
    const result = {
      folder: folder!,
      ...shapes,
      layerTypes: layerTypes.map((kind) => kind.replace('_attention', '')).join(' '),
      dtype: json.dtype ?? json.torch_dtype ?? 'not said',
      parameters: total,
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
      const { memory, ...plain } = result;
      const lines = Object.entries(plain).map(([key, value]) => [
        key,
        Array.isArray(value) ? value.join(', ') : String(value),
      ]);
      for (const [dtype, { training, with_gradient_checkpointing: less }] of Object.entries(memory))
        lines.push([
          `training in ${dtype}`,
          `about ${megabytes(training!)} with ${tokens} tokens a micro-batch, ${megabytes(less!)} with gradient checkpointing`,
        ]);
      await context.print(`${table([['what', 'value'], ...lines])}\n`);
      const shapesOf = parameters.map(({ name, shape }) => [name, shape.join(' x ')]);
      await context.print(
        `\n${table([['tensor', 'shape'], ...(context.verbose ? shapesOf : firstLayer(shapesOf))])}\n`,
      );
    }
    return undefined;
  },
});

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
