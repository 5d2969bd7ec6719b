import { InputError, integer, number } from '@gemmatune/base';
import { stopIds as callEnds, encodePrompt } from '@gemmatune/eval';
import { checkIds, DEVICE_OPTIONS, ModelText, modelOption } from '@gemmatune/run';
import { parseExample } from '@gemmatune/schema';
import { command } from '../command.js';
import { type Conversation, parseConversation } from '../conversation.js';
import { FILTER_OPTIONS, filterLines, parseObject } from '../json-lines.js';
import { modelFolder, openModel } from '../open-model.js';

/** One line of input: ids as they are, or text that still needs the tokenizer. */
type Prompt = { ids: number[] } | { prompt: string } | Conversation;

export const generate = command({
  usage: '--model M --max-new-tokens N [--in FILE] [--out FILE]',
  notes: [
    'In: {input_ids}, {prompt} or {messages, tools}, one JSON object a line. Out: {output_ids, text}; without text where',
    'input_ids were given and the model folder has no tokenizer. The id that ended an answer is its last.',
  ],
  options: {
    model: modelOption,
    maxNewTokens: integer('Most tokens to generate for a line.', 128, { min: 1 }),
    temperature: number('0 = greedy; higher is more random.', 0, { min: 0 }),
    topK: integer('Sample from the k likeliest tokens only; 0 = from all.', 0, { min: 0 }),
    topP: number('Sample from the likeliest tokens that make up this share of the probability.', 1, { min: 0, max: 1 }),
    seed: integer('Seed of the sampling.', 0, { min: 0 }),
    batchSize: integer('Lines decoded side by side. The result does not depend on it.', 16, { min: 1 }),
    ...DEVICE_OPTIONS,
    ...FILTER_OPTIONS,
  },
  async run(options, context) {
    const folder = await modelFolder(options.model, context);
    await using model = await openModel(folder, options, context);
    const source = new ModelText(folder);
    const readable = await source.hasTokenizer();
    const { maxNewTokens, temperature, topK, topP, seed, batchSize } = options;
    const request = { maxNewTokens, temperature, topK, topP, seed, batchSize, signal: context.signal };

    await filterLines(options, context, promptParser(model.config.vocabSize), async (lines) => {
      const prompts = await Promise.all(lines.map(async ({ value }) => Int32Array.from(await idsOf(value, source))));
      prompts.forEach((ids, i) => {
        if (ids.length === 0)
          throw new InputError(`${lines[i]!.where}: the prompt has no token, expected at least one.`);
        checkIds([...ids], model.config.vocabSize, `${lines[i]!.where}: input_ids`);
      });
      // Conversations end where a call does, even in copies of the model whose generation_config.json has lost those ids.
      const conversational = lines.some(({ value }) => 'messages' in value);
      const ends = conversational ? callEnds(await source.tokenizer()) : [];
      const outputs: Int32Array[] = new Array(lines.length);
      for (const withCalls of [true, false]) {
        const chosen = lines.flatMap(({ value }, i) => ('messages' in value === withCalls ? [i] : []));
        const stopIds = [...new Set([...model.config.eosTokenIds, ...(withCalls ? ends : [])])];
        const some = await model.generate(
          chosen.map((i) => prompts[i]!),
          { ...request, stopIds },
        );
        chosen.forEach((line, i) => {
          outputs[line] = some[i]!;
        });
      }
      const tokenizer = readable ? await source.tokenizer() : undefined;
      return outputs.map((ids) => ({
        output_ids: [...ids],
        ...(tokenizer && { text: tokenizer.decode(known(ids, tokenizer.vocabSize), { skipSpecialTokens: true }) }),
      }));
    });
    return undefined;
  },
});

/** A model may have more rows in its embedding than the tokenizer has tokens: such ids have no text. */
const known = (ids: Int32Array, size: number): Int32Array => ids.filter((id) => id < size);

function promptParser(vocabSize: number) {
  return (text: string, where: string): Prompt => {
    const line = parseObject(text, where);
    if ('messages' in line) return parseConversation(text, where);
    if (typeof line.prompt === 'string') return { prompt: line.prompt };
    if (!('input_ids' in line))
      throw new InputError(
        `${where}: found the keys ${Object.keys(line).join(', ') || '(none)'}, expected {input_ids}, {prompt} or {messages, tools}.`,
      );
    const { input_ids: ids } = parseExample({ input_ids: line.input_ids }, where) as { input_ids: number[] };
    checkIds(ids, vocabSize, `${where}: input_ids`);
    return { ids };
  };
}

async function idsOf(prompt: Prompt, source: ModelText): Promise<Iterable<number>> {
  if ('ids' in prompt) return prompt.ids;
  const tokenizer = await source.tokenizer();
  const text =
    'prompt' in prompt
      ? prompt.prompt
      : (await source.template()).render(prompt.messages, prompt.tools, { addGenerationPrompt: true });
  return encodePrompt(tokenizer, text);
}
