import type { Message, Tool, ToolRow, TrainingRow } from '@gemmatune/schema';
import type { Segment } from '@gemmatune/template';
import { describe, expect, it } from 'vitest';
import { type EncodeOptions, encodeRow, encodeRows, type Renderer } from './encode.js';
import type { TextTokenizer } from './segments.js';

/** One token per character, special tokens whole, and "ab" as one token: a merge that can lie across a boundary. */
const tokenizer: TextTokenizer = {
  encode(text, { addSpecialTokens }) {
    const pieces = (addSpecialTokens ? `<bos>${text}` : text).match(/<bos>|<eos>|<turn>|ab|[\s\S]/g) ?? [];
    return Int32Array.from(pieces, idOf);
  },
};
const SPECIAL: Record<string, number> = { '<eos>': 1, '<bos>': 2, '<turn>': 3, ab: 4 };
const idOf = (piece: string): number => SPECIAL[piece] ?? piece.charCodeAt(0);
const ids = (text: string): number[] => [...tokenizer.encode(text, { addSpecialTokens: false })];

const renderer: Renderer = {
  renderSegments: (messages: Message[], tools: Tool[]) => [
    { role: 'prompt', text: `<bos>${tools.map((tool) => tool.function.name).join('')}` },
    ...messages.flatMap(({ role, content }, turn): Segment[] => [
      {
        ...(role === 'assistant' ? { role: 'answer', turn } : { role: 'prompt' }),
        text: `${role[0]}:${content}<turn>`,
      },
      // As in FunctionGemma's format, what ends a turn is followed by text nobody learns.
      { role: 'prompt', text: '.' },
    ]),
  ],
  renderToolRow: ({ user_content, tool_arguments }: ToolRow, { format }) => [
    { role: 'prompt', text: `<bos>${user_content}<turn>` },
    { role: 'answer', text: format === 'native' ? `call<turn>` : `args${tool_arguments}`, turn: 0 },
  ],
};

const options: EncodeOptions = { tokenizer, renderer };
const toolRow: ToolRow = { user_content: 'q', tool_name: 'f', tool_arguments: '{}', hf_tools: [] };
const chat: TrainingRow = {
  messages: [
    { role: 'user', content: 'x' },
    { role: 'assistant', content: 'y' },
    { role: 'user', content: 'z' },
    { role: 'assistant', content: 'w' },
  ],
  tools: '[{"name": "T"}]',
};

/** The text of the learnt tokens, with | for each gap. */
function learnt(row: TrainingRow, more: Partial<EncodeOptions> = {}): string {
  const { inputIds, labels } = encodeRow(row, { ...options, ...more }, 'row');
  const names = Object.fromEntries(Object.entries(SPECIAL).map(([piece, id]) => [id, piece]));
  return [...labels]
    .map((label, i) => {
      if (label === -100) return '|';
      expect(label).toBe(inputIds[i]);
      return names[label] ?? String.fromCharCode(label);
    })
    .join('')
    .replace(/\|+/g, '|');
}

const textOf = (row: TrainingRow, more: Partial<EncodeOptions> = {}) => [
  ...encodeRow(row, { ...options, ...more }, 'row').inputIds,
];

describe('the five shapes', () => {
  it('tool rows: the answer by default, everything with loss full', () => {
    expect(textOf(toolRow)).toEqual(ids('<bos>q<turn>call<turn>'));
    expect(learnt(toolRow)).toBe('|call<turn>');
    expect(learnt(toolRow, { loss: 'full' })).toBe('<bos>q<turn>call<turn>');
    expect(learnt(toolRow, { format: 'tutorial' })).toBe('|args{}<eos>');
  });

  it('conversations: the last answer, or all of them', () => {
    expect(textOf(chat)).toEqual(ids('<bos>Tu:x<turn>.a:y<turn>.u:z<turn>.a:w<turn>.'));
    expect(learnt(chat)).toBe('|a:w<turn>|');
    expect(learnt(chat, { loss: 'assistant' })).toBe('|a:y<turn>|a:w<turn>|');
  });

  it('text: all of it, after <bos> and before <eos>, each once', () => {
    expect(textOf({ text: 'hi' })).toEqual(ids('<bos>hi<eos>'));
    expect(textOf({ text: '<bos>hi<eos>' })).toEqual(ids('<bos>hi<eos>'));
    expect(learnt({ text: 'hi' }, { loss: 'completion' })).toBe('<bos>hi<eos>');
  });

  it('prompt and completion: the completion', () => {
    const row = { prompt: 'p', completion: 'c' };
    expect(textOf(row)).toEqual(ids('<bos>pc<eos>'));
    expect(learnt(row)).toBe('|c<eos>');
    expect(learnt({ prompt: '<bos>p', completion: 'c<eos>' })).toBe('|c<eos>');
  });

  it('ids: as they are', () => {
    expect(learnt({ input_ids: ids('<bos>hi') })).toBe('<bos>hi');
    expect(learnt({ input_ids: ids('<bos>hi'), labels: [-100, -100, ...ids('i')] })).toBe('|i');
  });
});

describe('boundaries', () => {
  it('a token across the boundary belongs to the answer', () => {
    const row = { prompt: 'xa', completion: 'bc' };
    expect(textOf(row)).toEqual(ids('<bos>xabc<eos>'));
    expect(learnt(row)).toBe('|abc<eos>');
    // TRL masks as many tokens as the prompt has by itself, here one too many.
    expect(learnt(row, { compat: 'trl', loss: 'completion' })).toBe('|c<eos>');
  });
});

describe("compat: 'trl'", () => {
  it('repeats <bos>, ends tool rows with <eos> and learns everything', () => {
    expect(textOf(toolRow, { compat: 'trl' })).toEqual(ids('<bos><bos>q<turn>call<turn><eos>'));
    expect(learnt(toolRow, { compat: 'trl' })).toBe('<bos><bos>q<turn>call<turn><eos>');
    expect(learnt({ text: '<bos>t' }, { compat: 'trl' })).toBe('<bos><bos>t<eos>');
    expect(learnt({ prompt: '<bos>p', completion: 'c' }, { compat: 'trl', loss: 'completion' })).toBe('|c<eos>');
    // Conversations are tokenized by the template: no second <bos>, no <eos>.
    expect(textOf(chat, { compat: 'trl' })).toEqual(textOf(chat));
  });
});

describe('maxLength', () => {
  const numbered = (...rows: TrainingRow[]) => rows.map((row, i) => ({ line: i + 1, row }));
  const run = async (rows: TrainingRow[], more: Partial<EncodeOptions>) =>
    encodeRows(numbered(...rows), { ...options, ...more });

  it('drops rows whose only answer would be cut, and counts them by line', async () => {
    const { rows, lines, report } = await run([toolRow, { ...toolRow, user_content: 'longer' }], { maxLength: 8 });
    expect(rows.map(({ inputIds }) => inputIds.length)).toEqual([8]);
    expect(lines).toEqual([1]);
    expect(report).toEqual({ rows: 2, kept: 1, tooLong: [2], truncated: [], noTargets: [2], tokens: 8, targets: 5 });
  });

  it('keeps the answers before the cut, and none that the cut would end early', async () => {
    const whole = textOf(chat).length;
    const { rows, report } = await run([chat], { loss: 'assistant', maxLength: whole - 2 });
    expect(rows[0]!.inputIds).toHaveLength(whole - 2);
    expect([...rows[0]!.labels].filter((label) => label !== -100)).toEqual(ids('a:y<turn>'));
    expect(report).toMatchObject({ kept: 1, tooLong: [1], truncated: [1], noTargets: [] });
  });

  it('cuts rows learnt in full', async () => {
    const { rows, report } = await run([{ text: 'abcdef' }], { maxLength: 3 });
    expect([...rows[0]!.labels]).toEqual(ids('<bos>abc'));
    expect(report.truncated).toEqual([1]);
  });

  it('as TRL with compat: cuts answers, keeps full rows without any answer, drops rows with no label', async () => {
    const completion = await run([toolRow, { ...toolRow, user_content: 'longer' }], {
      compat: 'trl',
      loss: 'completion',
      maxLength: 9,
    });
    expect([...completion.rows[0]!.labels].filter((label) => label !== -100)).toEqual(ids('call<turn>'));
    expect(completion.report).toMatchObject({ kept: 1, noTargets: [2] });
    const full = await run([{ ...toolRow, user_content: 'longer' }], { compat: 'trl', maxLength: 4 });
    expect([...full.rows[0]!.labels]).toEqual(ids('<bos><bos>lo'));
  });

  it('drops rows with nothing to learn at any length', async () => {
    const { report } = await run([{ input_ids: [2, 5], labels: [-100, -100] }, { input_ids: [2] }], {});
    expect(report).toMatchObject({ rows: 2, kept: 0, noTargets: [1, 2], tooLong: [] });
  });
});

describe('bad rows', () => {
  it('ids outside the vocabulary are refused by line', async () => {
    const rows = [{ line: 7, row: { input_ids: [2, 262144] } }];
    await expect(encodeRows(rows, { ...options, vocabSize: 262144 })).rejects.toThrow(
      /^line 7: found the token id 262144, expected ids below the model's vocab_size 262144\.$/,
    );
    await expect(encodeRows(rows, { ...options, vocabSize: 262144 }, 'a.jsonl')).rejects.toThrow(/^a\.jsonl line 7: /);
  });

  it('what a template refuses is told with the line', async () => {
    const rows = [{ line: 9, row: { messages: [{ role: 'tool' as const, content: 'x' }] } }];
    await expect(encodeRows(rows, { tokenizer })).rejects.toThrow(
      'line 9: A tool message with text content has no name',
    );
  });
});
