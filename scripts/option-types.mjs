// Writes the interfaces of options from their tables, once the packages are built: `node scripts/option-types.mjs`.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { INTERFACES } from './option-types/interfaces.mjs';

for (const [path, text] of Object.entries(INTERFACES))
  writeFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), text);
