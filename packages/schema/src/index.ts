/** The types every package speaks. This package does nothing but judge values. */

export { exactJson, parseJson, plainJson, toJson } from './conversions.js';
export { type ExactJson, type ExactObject, JsonNumber, parseExactJson, printExactJson } from './exact-json.js';
export { parseExample, parseMessages, parseTools } from './parse.js';
export { PYTHON_SPACE, pythonFloat, strip } from './python-text.js';
export type { FunctionCall, Json, JsonObject, Message, Tool, ToolRow, TrainingRow } from './types.js';
