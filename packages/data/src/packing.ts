/** How many rows TRL packs at a time: `datasets.map(batched=True)` hands them over in batches of this size. */
export const TRL_PACKING_ROWS = 1000;

/**
 * Best-fit-decreasing packing: which rows share a sequence of at most `maxLength` tokens. The longest row first, each into the pack
 * with the least room it still fits in (of equal ones the oldest), else into a new pack. Attention does not cross rows, so packing
 * changes how much is computed at once and nothing else.
 * Source: Ding et al. 2024, "Fewer Truncations Improve Language Modeling"; trl/data_utils.py `_pack_bfd`.
 * @param lengths tokens of each row; longer ones count as `maxLength`
 * @param groupSize rows are packed in groups of this many; all together by default, TRL_PACKING_ROWS for TRL's packs
 * @returns packs of row numbers
 */
export function packRows(lengths: number[], maxLength: number, groupSize = Math.max(1, lengths.length)): number[][] {
  const packs: number[][] = [];
  for (let start = 0; start < lengths.length; start += groupSize) {
    packs.push(...packGroup(lengths, maxLength, start, Math.min(start + groupSize, lengths.length)));
  }
  return packs;
}

function packGroup(lengths: number[], maxLength: number, start: number, end: number): number[][] {
  const lengthOf = (row: number) => Math.min(lengths[row]!, maxLength);
  // The sort is stable: rows of equal length keep their order, as Arrow's does.
  const rows = Array.from({ length: end - start }, (_, i) => start + i).sort((a, b) => lengthOf(b) - lengthOf(a));
  const packs: number[][] = [];
  /** open[room] = the packs with exactly that many tokens left, oldest first. */
  const open: number[][][] = Array.from({ length: maxLength }, () => []);
  for (const row of rows) {
    let room = lengthOf(row);
    while (room < maxLength && open[room]!.length === 0) room++;
    let pack = open[room]?.shift();
    if (pack === undefined) {
      pack = [];
      packs.push(pack);
    }
    pack.push(row);
    open[room - lengthOf(row)]!.push(pack);
  }
  return packs;
}
