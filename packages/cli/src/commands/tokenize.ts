import { flag, InputError, shown } from '@gemmatune/base';
import { ModelText, modelOption } from '@gemmatune/run';
import { command } from '../command.js';
import { FILTER_OPTIONS, filterLines, parseObject } from '../json-lines.js';
import { modelFolder } from '../open-model.js';

export const tokenize = command({
  usage: '--model M [--no-special-tokens] [--in FILE] [--out FILE]',
  notes: ['In: {text}, one JSON object a line. Out: {input_ids}.'],
  options: {
    model: modelOption,
    noSpecialTokens: flag('Without <bos> in front. Rendered chat templates start with one already.'),
    ...FILTER_OPTIONS,
  },
  async run(options, context) {
    const tokenizer = await new ModelText(await modelFolder(options.model, context)).tokenizer();
    const addSpecialTokens = !options.noSpecialTokens;
    await filterLines(options, context, parse, async (lines) =>
      lines.map(({ value }) => ({ input_ids: [...tokenizer.encode(value, { addSpecialTokens })] })),
    );
    return undefined;
  },
});

function parse(line: string, where: string): string {
  const { text } = parseObject(line, where);
  if (typeof text === 'string') return text;
  throw new InputError(`${where}: text is ${shown(text)}, expected a text.`);
}
