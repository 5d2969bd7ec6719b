// When work on a few resources runs: each does one task at a time, the first of the list that is ready.

/**
 * @typedef {object} Task
 * @property {string} name
 * @property {string} on the resource
 * @property {number} seconds
 * @property {string[]} after names of tasks that must have ended
 */

/**
 * @param {readonly Task[]} tasks names are unique; tasks of one resource that must keep their order say so in `after`
 * @returns {Map<string, { start: number, end: number }>} seconds from the first start
 */
export function schedule(tasks) {
  const times = new Map();
  const free = new Map();
  const waiting = new Set(tasks);
  while (waiting.size > 0) {
    let next = null;
    for (const task of waiting) {
      if (!task.after.every((name) => times.has(name))) continue;
      const ready = Math.max(0, ...task.after.map((name) => times.get(name).end));
      const start = Math.max(ready, free.get(task.on) ?? 0);
      if (next === null || start < next.start) next = { task, start };
    }
    if (next === null) throw new Error(`${[...waiting][0].name} waits for a task that does not exist or for itself`);
    const end = next.start + next.task.seconds;
    times.set(next.task.name, { start: next.start, end });
    free.set(next.task.on, end);
    waiting.delete(next.task);
  }
  return times;
}
