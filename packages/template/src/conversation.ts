/** What a chat template takes: the schema's messages and tools, less strictly. */
import type { JsonObject, Message, Tool } from '@gemmatune/schema';

/** A `Message` whose call arguments may be missing, or a JSON text (pasted as it stands). */
export interface TemplateMessage extends Omit<Message, 'tool_calls'> {
  tool_calls?: {
    type?: 'function';
    id?: string;
    function: { name: string; arguments?: JsonObject | string };
  }[];
}

/** A `Tool` that need not say that it is a function. */
export interface TemplateTool extends Omit<Tool, 'type'> {
  type?: Tool['type'];
}
