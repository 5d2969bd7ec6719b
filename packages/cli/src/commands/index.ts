import type { Command } from '../command.js';

interface Entry {
  summary: string;
  load: () => Promise<Command>;
}

/** Every command, in the order of `--help`. Each is loaded when it is called, so that the others cost it no time. */
export const COMMANDS = {
  quickstart: {
    summary: 'Train a bundled tiny model on bundled rows and show what it brought; offline.',
    load: async () => (await import('./quickstart.js')).quickstart,
  },
  prepare: {
    summary: 'A function-calling data set to rows to train and evaluate on.',
    load: async () => (await import('./prepare.js')).prepare,
  },
  render: {
    summary: 'Conversations to text by the chat template of a model.',
    load: async () => (await import('./render.js')).render,
  },
  tokenize: { summary: 'Text to token ids.', load: async () => (await import('./tokenize.js')).tokenize },
  score: {
    summary: 'Loss and log-probabilities of token ids.',
    load: async () => (await import('./score.js')).score,
  },
  generate: { summary: 'Continue prompts.', load: async () => (await import('./generate.js')).generate },
  finetune: { summary: 'Train a model on rows.', load: async () => (await import('./finetune.js')).finetune },
  evaluate: {
    summary: 'Generate calls for rows and score them.',
    load: async () => (await import('./evaluate.js')).evaluate,
  },
  predict: {
    summary: 'One row: prompt, prediction and gold call side by side.',
    load: async () => (await import('./predict.js')).predict,
  },
  lint: {
    summary: 'What would go wrong in training with these rows.',
    load: async () => (await import('./lint.js')).lint,
  },
  inspect: {
    summary: 'What a model folder holds, and the memory that training it takes.',
    load: async () => (await import('./inspect.js')).inspect,
  },
  doctor: {
    summary: 'What this machine has and what would be used.',
    load: async () => (await import('./doctor.js')).doctor,
  },
  push: { summary: 'Upload a model folder to the Hub.', load: async () => (await import('./push.js')).push },
  pull: { summary: 'Download a model or data set from the Hub.', load: async () => (await import('./pull.js')).pull },
  bench: { summary: 'The benchmarks of this project.', load: async () => (await import('./bench.js')).bench },
} satisfies Record<string, Entry>;
