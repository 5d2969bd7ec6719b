/** The two short notations of Slurm's variables. */
import { UsageError } from '../options.js';

/** The first host of a list such as `n[1-3,7]`, `rack[01-02]n[1-4],login`. @throws UsageError where it is none */
export function firstHost(list: string): string {
  let depth = 0;
  const comma = [...list].findIndex((letter) => {
    if (letter === '[') depth++;
    else if (letter === ']') depth--;
    return letter === ',' && depth === 0;
  });
  const first = comma < 0 ? list : list.slice(0, comma);
  // Of each bracket the first number, its zeros kept.
  const host = first.replace(/\[(\d+)(?:[-,][\d,-]*)?\]/g, '$1');
  if (!/^[\w.-]+$/.test(host))
    throw new UsageError(
      `Slurm's list of nodes is '${list}', expected names such as n[1-3,7]; give --address tcp:host:port.`,
    );
  return host;
}

/** Tasks of node number `node` in counts such as `2(x3),1`: three nodes of 2 and one of 1. null where the notation is another. */
export function tasksOnNode(counts: string, node: number): number | null {
  let left = node;
  for (const part of counts.split(',')) {
    const [, tasks, times = '1'] = /^(\d+)(?:\(x(\d+)\))?$/.exec(part) ?? [];
    if (tasks === undefined) return null;
    if (left < Number(times)) return Number(tasks);
    left -= Number(times);
  }
  return null;
}
