/** Whether version `a` comes after `b`, both X.Y.Z. @param {string} a @param {string} b */
export function later(a, b) {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number));
  const i = left.findIndex((part, at) => part !== right[at]);
  return i >= 0 && left[i] > right[i];
}

const UNRELEASED = '## Unreleased\n';

/**
 * The changelog with its unreleased part under a version and a date, and an empty one above it.
 * @param {string} text @param {string} version @param {string} date
 * @returns {string | null} null where nothing is unreleased
 */
export function dated(text, version, date) {
  const at = text.indexOf(UNRELEASED);
  if (at < 0) return null;
  const after = text.slice(at + UNRELEASED.length);
  const next = after.search(/^## /m);
  const unreleased = (next < 0 ? after : after.slice(0, next)).trim();
  if (unreleased === '') return null;
  const rest = next < 0 ? '' : `\n${after.slice(next)}`;
  return `${text.slice(0, at)}${UNRELEASED}\n## ${version}, ${date}\n\n${unreleased}\n${rest}`;
}
