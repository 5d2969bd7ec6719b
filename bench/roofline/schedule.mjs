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
  /** @type {Map<string, { start: number, end: number }>} */
  const times = new Map();
  /** @type {Map<string, number>} */
  const free = new Map();
  const waiting = new Set(tasks);
  while (waiting.size > 0) {
    const starts = [...waiting].map((task) => {
      const ready = task.after.map((name) => times.get(name)?.end ?? Number.POSITIVE_INFINITY);
      return { task, start: Math.max(0, free.get(task.on) ?? 0, ...ready) };
    });
    const { task, start } = starts.reduce((a, b) => (b.start < a.start ? b : a));
    if (start === Number.POSITIVE_INFINITY)
      throw new Error(`${task.name} waits for a task that does not exist or for itself`);
    const end = start + task.seconds;
    times.set(task.name, { start, end });
    free.set(task.on, end);
    waiting.delete(task);
  }
  return times;
}
