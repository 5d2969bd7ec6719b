import { type ExactJson, type ExactObject, printExactJson } from '@gemmatune/schema';
import { goldCall } from './gold.js';
import { hermesTools } from './tools.js';

/** What became of a Hermes row: the gold call and the declarations that were found, and the tool row where both fit together. */
export interface HermesRow {
  why: 'usable' | 'no_gold' | 'no_tools' | 'gold_not_in_tools';
  gold: ExactObject | null;
  tools: ExactObject[];
  /** {user_content, tool_name, tool_arguments, hf_tools}; null unless usable. */
  row: ExactObject | null;
}

/**
 * Normalises a row {conversations, tools, task} of interstellarninja/hermes_reasoning_tool_use to one user turn, the tools on offer
 * and the one gold call, as the fine-tuning tutorial does. A tool without required parameters is called with {}.
 */
export function hermesRow(source: ExactObject): HermesRow {
  const task = source.get('task');
  const gold = goldCall(source.get('conversations'), task);
  const tools = hermesTools(source.get('tools'));
  const dropped = (why: HermesRow['why']): HermesRow => ({ why, gold, tools, row: null });
  if (gold === null) return dropped('no_gold');
  if (tools.length === 0) return dropped('no_tools');

  const name = gold.get('name');
  const called = tools.map(functionOf).find((tool) => tool.get('name') === name);
  if (typeof name !== 'string' || called === undefined) return dropped('gold_not_in_tools');

  const required = (called.get('parameters') as ExactObject).get('required');
  const callArguments = gold.get('arguments');
  const takesArguments = Array.isArray(required) && required.length > 0 && callArguments instanceof Map;
  const row = new Map<string, ExactJson>([
    ['user_content', typeof task === 'string' ? task : null],
    ['tool_name', name],
    ['tool_arguments', printExactJson(takesArguments ? callArguments : new Map())],
    ['hf_tools', tools],
  ]);
  return { why: 'usable', gold, tools, row };
}

function functionOf(tool: ExactObject): ExactObject {
  return tool.get('function') as ExactObject;
}
