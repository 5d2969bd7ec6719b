const BLOCKS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/** Values as one line of blocks, the lowest ▁ and the highest █; more than `width` of them are averaged in groups. */
export function sparkline(values: readonly number[], width = 60): string {
  const finite = values.filter(Number.isFinite);
  const columns = Math.min(width, finite.length);
  const means = Array.from({ length: columns }, (_, i) => {
    const group = finite.slice(
      Math.floor((i * finite.length) / columns),
      Math.floor(((i + 1) * finite.length) / columns),
    );
    return group.reduce((sum, value) => sum + value, 0) / group.length;
  });
  const low = Math.min(...means);
  const high = Math.max(...means);
  const level = (value: number) =>
    high === low ? 0 : Math.round(((value - low) / (high - low)) * (BLOCKS.length - 1));
  return means.map((value) => BLOCKS[level(value)]).join('');
}
