import { defineConfig } from 'vitest/config';
import type { Reporter, TestCase } from 'vitest/node';

/** Says by name what was skipped, the reasons in the names with it: the default reporter only counts. */
const skips: Reporter = {
  onTestRunEnd(modules) {
    const name = ({ parent, fullName }: TestCase) =>
      parent.type === 'suite' && parent.options.mode === 'skip' ? parent.fullName : fullName;
    for (const { children, relativeModuleId } of modules)
      for (const skipped of new Set([...children.allTests('skipped')].map(name)))
        console.log(`SKIPPED: ${relativeModuleId} > ${skipped}`);
  },
};

export default defineConfig({
  // Packages resolve to their TypeScript sources: tests need no build.
  resolve: { conditions: ['@gemmatune/source'] },
  ssr: { resolve: { conditions: ['@gemmatune/source', 'node', 'import', 'default'] } },
  test: {
    include: [
      'packages/*/src/**/*.test.ts',
      'test/**/*.test.ts',
      ...['bench', 'scripts', 'tools'].map((folder) => `${folder}/**/*.test.mjs`),
    ],
    // A crash in native code must take down one worker, not the whole run.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default', skips],
  },
});
