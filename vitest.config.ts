import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Packages resolve to their TypeScript sources: tests need no build.
  resolve: { conditions: ['@gemmatune/source'] },
  ssr: { resolve: { conditions: ['@gemmatune/source', 'node', 'import', 'default'] } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts', 'bench/**/*.test.mjs', 'tools/**/*.test.mjs'],
    // A crash in native code must take down one worker, not the whole run.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
