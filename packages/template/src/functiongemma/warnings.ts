/** Inputs that FunctionGemma's template renders without complaint into a prompt the model was never trained on. */
import type { Json } from '@gemmatune/schema';
import type { TemplateMessage, TemplateTool } from '../conversation.js';
import { KEYWORDS } from './declaration.js';
import { isMapping, isTruthy, item } from './python.js';
import { DEVELOPER_LINE } from './tool-row.js';

/** One sentence per such place, empty for clean input. */
export function templateWarnings(messages: readonly TemplateMessage[], tools: readonly TemplateTool[] = []): string[] {
  return [...conversationWarnings(messages, tools), ...tools.flatMap(toolWarnings)];
}

function conversationWarnings(messages: readonly TemplateMessage[], tools: readonly TemplateTool[]): string[] {
  const warnings: string[] = [];
  const isSystem = (message: TemplateMessage | undefined) =>
    message?.role === 'system' || message?.role === 'developer';
  if (tools.length > 0 && !isSystem(messages[0])) {
    warnings.push(
      `There are tools but no developer message first, so the line "${DEVELOPER_LINE}" is missing and the model tends to answer in prose.`,
    );
  }
  for (const [index, message] of messages.entries()) {
    const before = messages[index - 1];
    const where = `messages[${index}]`;
    if (index > 0 && isSystem(message)) {
      warnings.push(
        `${where} is a ${message.role} message that is not the first, and prints as a turn of its own that the model does not know.`,
      );
    }
    if (message.role !== 'tool' && message.role !== 'assistant' && before?.role === 'tool') {
      warnings.push(
        `${where} is a ${message.role} message directly after a tool response, and prints without <start_of_turn>: the model takes it for its own words.`,
      );
    }
    if (message.role !== 'tool' && before?.tool_calls?.length) {
      warnings.push(
        `${where} follows a message with tool calls that no tool message answers, so the model's turn before it is never closed.`,
      );
    }
    if (message.role === 'tool' && !isTruthy(message.content)) {
      warnings.push(`${where} is a tool message without content, and prints nothing.`);
    }
    for (const [call, { function: called }] of (message.tool_calls ?? []).entries()) {
      const place = `${where}.tool_calls[${call}].function.arguments`;
      if (typeof called.arguments === 'string') {
        warnings.push(`${place} is a text, and prints as it stands behind 20 spaces: parse it first.`);
      } else if (called.arguments && holdsEscape(called.arguments)) {
        warnings.push(`${place} holds the token <escape>, which ends the string it stands in.`);
      }
    }
  }
  return warnings;
}

function holdsEscape(value: Json): boolean {
  if (typeof value === 'string') return value.includes('<escape>');
  if (Array.isArray(value)) return value.some(holdsEscape);
  return (
    isMapping(value) && Object.entries(value).some(([key, entry]) => key.includes('<escape>') || holdsEscape(entry))
  );
}

function toolWarnings(tool: TemplateTool): string[] {
  const { name, parameters } = tool.function;
  if (!isTruthy(parameters)) return [];
  const warnings = propertyWarnings(item(parameters, 'properties'), `tool ${name}: parameters`);
  if (!isTruthy(item(parameters, 'type'))) {
    warnings.unshift(
      `tool ${name}: parameters has no type, so its closing brace is missing and a comma is left over; set type to "object".`,
    );
  }
  return warnings;
}

function propertyWarnings(properties: Json | undefined, where: string): string[] {
  if (!isMapping(properties)) return [];
  return Object.entries(properties).flatMap(([name, property]) => {
    const place = `${where}.${name}`;
    if (KEYWORDS.has(name))
      return [`${place} is left out: the template takes a property of this name for a keyword of the schema.`];
    if (!isMapping(property)) return [`${place} is no object, and prints as a property without description and type.`];
    const type = property.type;
    if (Array.isArray(type))
      return [`${place} has a list of types, and prints it as Python would (['STRING', 'NULL']); choose one type.`];
    if (!isTruthy(type)) return [`${place} has no type, and prints an empty one (or NONE for null).`];
    const kind = typeof type === 'string' ? type.toUpperCase() : '';
    if (kind === 'OBJECT' && !isMapping(property.properties)) {
      const printed = Object.keys(property).filter((key) => !KEYWORDS.has(key));
      return printed.length === 0
        ? []
        : [
            `${place} is an object without properties, and prints its ${printed.join(', ')} as if they were properties.`,
          ];
    }
    if (kind === 'OBJECT') return propertyWarnings(property.properties, place);
    return kind === 'ARRAY' ? propertyWarnings(item(property.items, 'properties'), `${place}.items`) : [];
  });
}
