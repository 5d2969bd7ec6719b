/** The chat template of a model folder, whatever it is: FunctionGemma's own by hand, any other through Jinja. */

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { readTextIfThere } from '@gemmatune/base';
import { type Json, plainJson } from '@gemmatune/schema';
import { Template } from '@huggingface/jinja';
import type { TemplateMessage, TemplateTool } from './conversation.js';
import { TemplateError } from './functiongemma/declaration.js';
import { type RenderOptions, render, renderSegments, type Segment } from './functiongemma/render.js';

/** sha256 of the templates, blanks at the end taken away, that the native renderer reproduces. */
const FUNCTION_GEMMA = new Set(['8e731d8f46f28e85bcb04ffeaea0646e086d6536c4787a3032787b5c0ce4a961']);

/** What both kinds of template can do. */
interface Renderer {
  render(messages: readonly TemplateMessage[], tools: readonly TemplateTool[], options: RenderOptions): string;
  renderSegments(
    messages: readonly TemplateMessage[],
    tools: readonly TemplateTool[],
    options: RenderOptions,
  ): Segment[];
}

export class ChatTemplate {
  private constructor(
    /** `functiongemma` is rendered natively, with Python's number texts; `jinja` prints 20.0 as 20. */
    readonly kind: 'functiongemma' | 'jinja',
    private readonly renderer: Renderer,
    private readonly defaults: RenderOptions,
  ) {}

  /** FunctionGemma's format, for models that come without a template. */
  static functionGemma(): ChatTemplate {
    return new ChatTemplate('functiongemma', { render, renderSegments }, {});
  }

  /** @throws TemplateError if the text is no Jinja template */
  static fromText(source: string, tokens: TemplateTokens = {}): ChatTemplate {
    const defaults: RenderOptions = tokens.bosToken === undefined ? {} : { bosToken: tokens.bosToken };
    if (FUNCTION_GEMMA.has(createHash('sha256').update(source.trimEnd()).digest('hex'))) {
      return new ChatTemplate('functiongemma', { render, renderSegments }, defaults);
    }
    return new ChatTemplate('jinja', new JinjaTemplate(source, tokens.eosToken), defaults);
  }

  /**
   * The template of a model folder: chat_template.jinja, else `chat_template` of tokenizer_config.json (a text, or a
   * list of named texts of which `default` is taken). `bos_token` and `eos_token` come from tokenizer_config.json.
   * A folder without a template whose tokenizer has FunctionGemma's call tokens gets FunctionGemma's format.
   * @throws TemplateError if the folder has none
   */
  static async fromModelFolder(folder: string): Promise<ChatTemplate> {
    const configPath = join(folder, 'tokenizer_config.json');
    const config = parseConfig(await readTextIfThere(configPath), configPath);
    const source =
      (await readTextIfThere(join(folder, 'chat_template.jinja'))) ?? templateOfConfig(config.chat_template);
    if (source === undefined) {
      if (await knowsFunctionCalls(folder)) return ChatTemplate.functionGemma();
      throw new TemplateError(
        `${folder} has no chat template, expected chat_template.jinja or chat_template in tokenizer_config.json; copy it from the base model.`,
      );
    }
    const bosToken = tokenName(config.bos_token);
    const eosToken = tokenName(config.eos_token);
    return ChatTemplate.fromText(source, { ...(bosToken && { bosToken }), ...(eosToken && { eosToken }) });
  }

  /** The conversation as text. Encode it without adding special tokens: templates write `<bos>` themselves. */
  render(
    messages: readonly TemplateMessage[],
    tools: readonly TemplateTool[] = [],
    options: RenderOptions = {},
  ): string {
    return this.renderer.render(messages, tools, { ...this.defaults, ...options });
  }

  /**
   * As `render`, in pieces that tell prompt from answer.
   * @throws TemplateError where a Jinja template renders a turn differently once the conversation goes on
   */
  renderSegments(
    messages: readonly TemplateMessage[],
    tools: readonly TemplateTool[] = [],
    options: RenderOptions = {},
  ): Segment[] {
    return this.renderer.renderSegments(messages, tools, { ...this.defaults, ...options });
  }
}

/** Texts that templates know as `bos_token` and `eos_token`. */
export interface TemplateTokens {
  bosToken?: string;
  eosToken?: string;
}

class JinjaTemplate implements Renderer {
  readonly #template: Template;
  readonly #eosToken: string;

  constructor(source: string, eosToken = '<eos>') {
    this.#eosToken = eosToken;
    try {
      this.#template = new Template(source);
    } catch (error) {
      throw new TemplateError(`The chat template is no Jinja template: ${(error as Error).message}.`);
    }
  }

  render(messages: readonly TemplateMessage[], tools: readonly TemplateTool[], options: RenderOptions): string {
    try {
      return this.#template.render({
        messages: plainJson(messages as unknown as Json),
        tools: tools.length > 0 ? plainJson(tools as unknown as Json) : null,
        add_generation_prompt: options.addGenerationPrompt ?? false,
        bos_token: options.bosToken ?? '<bos>',
        eos_token: this.#eosToken,
      });
    } catch (error) {
      throw new TemplateError(`The chat template refused the conversation: ${(error as Error).message}.`);
    }
  }

  /**
   * A template does not say which part is the model's. Rendering the conversation up to each assistant message, with
   * the generation prompt and then with the message, gives the places where that answer starts and ends.
   */
  renderSegments(
    messages: readonly TemplateMessage[],
    tools: readonly TemplateTool[],
    options: RenderOptions,
  ): Segment[] {
    const whole = this.render(messages, tools, options);
    const segments: Segment[] = [];
    let at = 0;
    let turn = 0;
    for (const [index, message] of messages.entries()) {
      if (message.role !== 'assistant') continue;
      const before = this.render(messages.slice(0, index), tools, { ...options, addGenerationPrompt: true });
      const after = this.render(messages.slice(0, index + 1), tools, {
        ...options,
        addGenerationPrompt: false,
      }).trimEnd();
      if (!whole.startsWith(after) || !after.startsWith(before)) {
        throw new TemplateError(
          `The chat template renders messages[${index}] differently once the conversation goes on, so its answer cannot be told from the prompt; train on the full text instead.`,
        );
      }
      segments.push({ role: 'prompt', text: whole.slice(at, before.length) });
      segments.push({ role: 'answer', text: whole.slice(before.length, after.length), turn: turn++ });
      at = after.length;
    }
    if (at < whole.length) segments.push({ role: 'prompt', text: whole.slice(at) });
    return segments;
  }
}

async function knowsFunctionCalls(folder: string): Promise<boolean> {
  const tokenizer = await readTextIfThere(join(folder, 'tokenizer.json'));
  return tokenizer?.includes('"<start_function_call>"') ?? false;
}

function parseConfig(text: string | undefined, path: string): Record<string, unknown> {
  if (text === undefined) return {};
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw new TemplateError(`${path}: ${(error as Error).message}; the file is damaged, fetch it again.`);
  }
}

function templateOfConfig(found: unknown): string | undefined {
  if (!Array.isArray(found)) return typeof found === 'string' ? found : undefined;
  return (found as { name?: string; template?: string }[]).find(({ name }) => name === 'default')?.template;
}

/** A token's text, written as such or as an AddedToken object. */
function tokenName(found: unknown): string | undefined {
  const name = typeof found === 'object' && found !== null ? (found as { content?: unknown }).content : found;
  return typeof name === 'string' ? name : undefined;
}
