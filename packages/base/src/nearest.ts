/**
 * Edits that turn `a` into `b`: insert, delete or replace a character, or swap two neighbours (optimal string alignment: Damerau
 * 1964 on Levenshtein's table), three rows of the table at a time.
 */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = swap ? before[j - 2]! + 1 : Number.POSITIVE_INFINITY;
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1, swapped));
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}

/** The known name closest to `name` (case, `-` and `_` do not count), or undefined where none is near enough to be meant. */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  const plain = (text: string) => text.toLowerCase().replace(/[-_]/g, '');
  let best: string | undefined;
  // More than a third of the letters wrong is another word.
  let limit = Math.max(1, Math.floor(plain(name).length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(plain(name), plain(candidate));
    if (distance < limit) {
      best = candidate;
      limit = distance;
    }
  }
  return best;
}

/** What an error says of a name that does not exist: the nearest one that does, else `otherwise`. */
export function didYouMean(name: string, names: readonly string[], otherwise: string): string {
  const nearest = nearestName(name, names);
  return nearest === undefined ? otherwise : `did you mean '${nearest}'?`;
}
