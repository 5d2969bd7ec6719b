import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { INTERFACES } from './interfaces.mjs';

it.each(Object.entries(INTERFACES))(
  '%s is what the table of options says (node scripts/option-types.mjs)',
  (path, text) => {
    expect(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')).toBe(text);
  },
);
