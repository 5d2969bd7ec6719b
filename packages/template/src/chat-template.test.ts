import { existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Template } from '@huggingface/jinja';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ChatTemplate } from './chat-template.js';
import type { TemplateMessage, TemplateTool } from './conversation.js';
import { render } from './functiongemma/render.js';

const data = resolve(import.meta.dirname, '../../../../shared/data/functiongemma');
const realTemplate = join(data, 'chat_template.jinja');

const CHATML =
  '{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}';
const conversation: TemplateMessage[] = [
  { role: 'user', content: 'a' },
  { role: 'assistant', content: 'b' },
  { role: 'user', content: 'c' },
  { role: 'assistant', content: 'd' },
];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gemmatune-template-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('any other template', () => {
  const template = ChatTemplate.fromText(CHATML, { bosToken: '<s>', eosToken: '</s>' });

  it('renders through Jinja', () => {
    expect(template.kind).toBe('jinja');
    expect(template.render(conversation.slice(0, 1), [], { addGenerationPrompt: true })).toBe(
      '<s><|user|>a</s>\n<|assistant|>',
    );
  });

  it('tells answers from prompts', () => {
    expect(template.renderSegments(conversation)).toEqual([
      { role: 'prompt', text: '<s><|user|>a</s>\n<|assistant|>' },
      { role: 'answer', turn: 0, text: 'b</s>' },
      { role: 'prompt', text: '\n<|user|>c</s>\n<|assistant|>' },
      { role: 'answer', turn: 1, text: 'd</s>' },
      { role: 'prompt', text: '\n' },
    ]);
  });

  it('refuses to guess where a template rewrites earlier turns', () => {
    const rewriting = ChatTemplate.fromText(
      '{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}',
    );
    expect(() => rewriting.renderSegments(conversation)).toThrow(
      /renders messages\[1\] differently once the conversation goes on/,
    );
    expect(rewriting.render(conversation)).toBe('4abcd');
  });

  it('passes on what the template raises, and refuses what is no template', () => {
    expect(() => ChatTemplate.fromText("{{ raise_exception('no system role') }}").render(conversation)).toThrow(
      /refused the conversation: .*no system role/,
    );
    expect(() => ChatTemplate.fromText('{% for %}')).toThrow(/no Jinja template/);
  });
});

describe('fromModelFolder', () => {
  it('prefers chat_template.jinja and takes the tokens from tokenizer_config.json', async () => {
    await writeFile(
      join(folder, 'tokenizer_config.json'),
      JSON.stringify({ bos_token: { content: '<B>' }, eos_token: '<E>', chat_template: 'config {{ bos_token }}' }),
    );
    expect((await ChatTemplate.fromModelFolder(folder)).render(conversation)).toBe('config <B>');
    await writeFile(join(folder, 'chat_template.jinja'), 'file {{ eos_token }}');
    expect((await ChatTemplate.fromModelFolder(folder)).render(conversation)).toBe('file <E>');
    await rm(join(folder, 'chat_template.jinja'));
  });

  it('takes the default of several named templates', async () => {
    const chat_template = [
      { name: 'rag', template: 'no' },
      { name: 'default', template: 'yes' },
    ];
    await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ chat_template }));
    expect((await ChatTemplate.fromModelFolder(folder)).render(conversation)).toBe('yes');
  });

  it("takes FunctionGemma's format where the tokenizer has its tokens and no file says otherwise", async () => {
    const bare = await mkdtemp(join(folder, 'bare-'));
    await writeFile(join(bare, 'tokenizer.json'), '{"added_tokens": [{"content": "<start_function_call>"}]}');
    expect((await ChatTemplate.fromModelFolder(bare)).kind).toBe('functiongemma');
  });

  it('says what is missing or damaged', async () => {
    await writeFile(join(folder, 'tokenizer_config.json'), '{}');
    await expect(ChatTemplate.fromModelFolder(folder)).rejects.toThrow(
      /has no chat template, expected chat_template\.jinja or/,
    );
    await writeFile(join(folder, 'tokenizer_config.json'), '{');
    await expect(ChatTemplate.fromModelFolder(folder)).rejects.toThrow(/tokenizer_config\.json: .* fetch it again\./);
  });
});

it('functionGemma() needs no file', () => {
  const template = ChatTemplate.functionGemma();
  expect(template.kind).toBe('functiongemma');
  expect(template.render(conversation)).toBe(render(conversation));
});

describe.skipIf(!existsSync(realTemplate))("FunctionGemma's own template (shared/data/functiongemma)", () => {
  interface Case {
    name: string;
    messages: TemplateMessage[];
    tools: TemplateTool[] | null;
    add_generation_prompt: boolean;
    text: string;
  }

  it('is recognised and rendered natively', async () => {
    await copyFile(realTemplate, join(folder, 'chat_template.jinja'));
    await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ bos_token: '<bos>' }));
    expect((await ChatTemplate.fromModelFolder(folder)).kind).toBe('functiongemma');
    expect(ChatTemplate.fromText(`${readFileSync(realTemplate, 'utf8')}\n`).kind).toBe('functiongemma');
  });

  it('gives the same text through Jinja, but for numbers, and for properties without a type', () => {
    const jinja = new Template(readFileSync(realTemplate, 'utf8'));
    const { cases } = JSON.parse(readFileSync(join(data, 'template_cases.json'), 'utf8')) as { cases: Case[] };
    const outcomes = cases.map(({ name, messages, tools, add_generation_prompt, text }) => {
      try {
        const rendered = jinja.render({ messages, tools, add_generation_prompt, bos_token: '<bos>' });
        return [name, rendered === text ? 'same' : 'different'];
      } catch (error) {
        return [name, (error as Error).message];
      }
    });
    expect(outcomes.filter(([, outcome]) => outcome !== 'same')).toEqual([
      // JavaScript's Jinja prints 20.0 as 20, and 1e-07 as 1e-7.
      ['numbers_booleans_null', 'different'],
      // Python's `upper` takes an undefined value for an empty text, JavaScript's refuses it.
      ['missing_descriptions', 'Cannot apply filter "upper" to type: UndefinedValue'],
    ]);
  });
});
