import { InputError } from '@gemmatune/base';
import { ModelText, modelOption } from '@gemmatune/run';
import { command } from '../command.js';
import { parseConversation } from '../conversation.js';
import { FILTER_OPTIONS, filterLines } from '../json-lines.js';
import { modelFolder } from '../open-model.js';

export const render = command({
  usage: '--model M [--in FILE] [--out FILE]',
  notes: ['In: {messages, tools?, add_generation_prompt?}, one JSON object a line. Out: {text, input_ids}.'],
  options: { model: modelOption, ...FILTER_OPTIONS },
  async run(options, context) {
    const source = new ModelText(await modelFolder(options.model, context));
    const [tokenizer, template] = await Promise.all([source.tokenizer(), source.template()]);
    await filterLines(options, context, parseConversation, async (lines) =>
      lines.map(({ value: { messages, tools, addGenerationPrompt }, where }) => {
        const text = at(where, () => template.render(messages, tools, { addGenerationPrompt }));
        return { text, input_ids: [...tokenizer.encode(text, { addSpecialTokens: false })] };
      }),
    );
    return undefined;
  },
});

/** The template's refusal, with the line it is about. */
function at<T>(where: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw new InputError(`${where}: ${(error as Error).message}`, { cause: error });
  }
}
