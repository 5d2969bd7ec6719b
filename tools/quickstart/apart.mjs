/** What makes the quickstart's numbers mean something: nothing that evaluation asks was seen before. */
import { baseRows, take } from './corpus.mjs';

const names = (rows) => new Set(rows.flatMap(({ hf_tools }) => hf_tools.map((tool) => tool.function.name)));
const requests = (rows) => new Set(rows.map(({ user_content }) => user_content));
const openStrings = (rows) =>
  new Set(
    rows.flatMap(({ tool_name, tool_arguments, hf_tools }) => {
      const { properties } = hf_tools.find((tool) => tool.function.name === tool_name).function.parameters;
      return Object.entries(JSON.parse(tool_arguments)).flatMap(([key, value]) =>
        properties[key].type === 'string' && properties[key].enum === undefined ? [value] : [],
      );
    }),
  );

function refuseShared(a, b, what) {
  const shared = [...b].filter((entry) => a.has(entry));
  if (shared.length > 0) throw new Error(`${shared.length} ${what}, such as "${shared[0]}"`);
}

/** @throws Error where evaluation repeats training, or as many base rows as pretraining reads hold a tool or request of the quickstart */
export function checkApart(training, evaluation, { seed, steps, batchSize }) {
  refuseShared(requests(training), requests(evaluation), 'requests are in both files');
  refuseShared(openStrings(training), openStrings(evaluation), 'strings are in both files');
  const base = take(baseRows(seed), steps * batchSize);
  refuseShared(names(base), names([...training, ...evaluation]), 'tools are in the base corpus');
  refuseShared(requests(base), requests([...training, ...evaluation]), 'requests are in the base corpus');
}
