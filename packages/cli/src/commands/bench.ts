import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { command } from '../command.js';

/** The benchmarks stay in the repository: they compare with programs that this one does not depend on. */
const FOLDER = fileURLToPath(new URL('../../../../bench', import.meta.url));

export const bench = command({
  usage: '',
  options: {},
  async run(_options, context) {
    const scripts = existsSync(FOLDER) ? (await readdir(FOLDER)).filter((name) => /\.(mjs|py)$/.test(name)).sort() : [];
    const lines =
      scripts.length === 0
        ? ['The benchmarks are in the folder bench/ of the repository; this is an installed copy without it.']
        : [
            'Benchmarks of this checkout, each run by node or python3:',
            ...scripts.map((name) => `  ${join(FOLDER, name)}`),
          ];
    await context.print(context.json ? `${JSON.stringify({ scripts })}\n` : `${lines.join('\n')}\n`);
    return undefined;
  },
});
