/**
 * Conversations to text and back, in FunctionGemma's format or that of any chat template.
 *
 * - `ChatTemplate.fromModelFolder(folder)` renders what the model folder's template says.
 * - `render`, `renderSegments`: FunctionGemma's own format; segments tell prompt from answer.
 * - `toolRowMessages`, `renderToolRow`: rows of `prepare`, in the native or the tutorial's target format.
 * - `parseCalls`: generated text back to calls.
 * - `templateWarnings`: inputs that render into a prompt the model was never trained on.
 */
export { ChatTemplate, type TemplateTokens } from './chat-template.js';
export type { TemplateMessage, TemplateTool } from './conversation.js';
export { formatArgument, TemplateError } from './functiongemma/declaration.js';
export { type ParsedCalls, parseCalls } from './functiongemma/parse.js';
export { type RenderOptions, render, renderSegments, type Segment } from './functiongemma/render.js';
export {
  DEVELOPER_LINE,
  formatTutorialCall,
  renderToolRow,
  type TargetFormat,
  type ToolRowOptions,
  toolRowMessages,
} from './functiongemma/tool-row.js';
export { templateWarnings } from './functiongemma/warnings.js';
