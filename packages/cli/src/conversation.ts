import { InputError, shown } from '@gemmatune/base';
import { parseJson, parseTools } from '@gemmatune/schema';
import type { TemplateMessage, TemplateTool } from '@gemmatune/template';

/** What a chat template takes, exactly as it was written: numbers keep the text that Python prints, unknown keys stay. */
export interface Conversation {
  messages: TemplateMessage[];
  tools: TemplateTool[];
  addGenerationPrompt: boolean;
}

/**
 * `{messages, tools?, add_generation_prompt?}` in a line of JSON. Judged just enough that a template can render it.
 * @throws InputError naming the line and the field
 */
export function parseConversation(text: string, where: string): Conversation {
  let row: unknown;
  try {
    row = parseJson(text);
  } catch (error) {
    throw new InputError(`${where}: ${(error as Error).message}, expected a JSON object.`);
  }
  const {
    messages,
    tools,
    add_generation_prompt: addGenerationPrompt = false,
  } = Object(row) as Record<string, unknown>;
  if (!Array.isArray(messages) || messages.length === 0)
    throw new InputError(`${where}: messages is ${shown(messages)}, expected a list of at least one message.`);
  messages.forEach((message: unknown, i) => {
    const { role } = Object(message) as Record<string, unknown>;
    if (typeof role !== 'string')
      throw new InputError(`${where}: messages[${i}].role is ${shown(role)}, expected a text such as user.`);
  });
  if (typeof addGenerationPrompt !== 'boolean')
    throw new InputError(`${where}: add_generation_prompt is ${shown(addGenerationPrompt)}, expected true or false.`);
  return { messages: messages as TemplateMessage[], tools: toolsOf(tools, `${where}: tools`), addGenerationPrompt };
}

/** Declarations with the {type, function} wrapper go to the template as they are; bare ones, or their JSON text, are wrapped. */
function toolsOf(tools: unknown, where: string): TemplateTool[] {
  if (tools === undefined || tools === null) return [];
  const wrapped = Array.isArray(tools) && tools.every((tool) => typeof Object(tool).function === 'object');
  return wrapped ? (tools as TemplateTool[]) : parseTools(tools, where);
}
