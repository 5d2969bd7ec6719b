import { settingText } from './format.mjs';

/**
 * Names of records by what tells them apart.
 * @param {readonly Record<string, any>[]} records
 * @param {(fields: Record<string, any>) => string} [write] fields as text
 * @returns {{ shared: string, own: string[] }} shared: what all of them have, '' for a single record, whose name says everything
 */
export function labels(records, write = settingText) {
  const same = (/** @type {string} */ name) =>
    records.every((record) => JSON.stringify(record[name]) === JSON.stringify(records[0][name]));
  const names = [...new Set(records.flatMap(Object.keys))];
  const shared = records.length > 1 ? names.filter(same) : [];
  /** @param {Record<string, any>} record @param {string[]} chosen */
  const pick = (record, chosen) =>
    Object.fromEntries(chosen.filter((name) => name in record).map((name) => [name, record[name]]));
  const differing = names.filter((name) => !shared.includes(name));
  return {
    shared: write(pick(records[0] ?? {}, shared)),
    own: records.map((record) => write(pick(record, differing))),
  };
}
