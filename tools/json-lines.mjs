// Files with a line of JSON each.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** @param {string} path @returns {any[]} none where there is no such file */
export const readLines = (path) =>
  existsSync(path)
    ? readFileSync(path, 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line))
    : [];

/** @param {string} path @param {readonly unknown[]} rows */
export const writeLines = (path, rows) => writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
