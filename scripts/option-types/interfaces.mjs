/** The documented interfaces of options, as their tables have them: editors show what the command line's help says. */
import { FINETUNE_OPTIONS, TRAIN_OPTIONS } from 'gemmatune';

const HEAD = '// Written by scripts/option-types.mjs from the table of options: change it there.\n';

/** One line where it fits, as Biome has it. */
function comment(text) {
  const lines = [];
  for (let rest = text; rest !== ''; ) {
    const room = 114;
    const at = rest.length <= room ? rest.length : rest.lastIndexOf(' ', room);
    lines.push(rest.slice(0, at));
    rest = rest.slice(at + 1);
  }
  return lines.length === 1
    ? `  /** ${lines[0]} */`
    : ['  /**', ...lines.map((line) => `   * ${line}`), '   */'].join('\n');
}

/** @param {string} mark `?` where a member may be left out */
function members(table, mark) {
  return Object.entries(table)
    .map(([name, { help, default: fallback, shownDefault, required, type }]) => {
      const known = shownDefault ?? (fallback === null ? undefined : JSON.stringify(fallback));
      const text = required || known === undefined ? help : `${help} Default: ${known.replaceAll('"', "'")}.`;
      return `${comment(text)}\n  ${name}${required ? '' : mark}: ${type};`;
    })
    .join('\n');
}

/** Paths from the root, and what the files hold. */
export const INTERFACES = {
  'packages/train/src/train-options.ts': `${HEAD}
/** All options of training with their values; null where one is left open. */
export interface TrainOptions {
${members(TRAIN_OPTIONS, '')}
}
`,
  'packages/run/src/finetune-options.ts': `${HEAD}import type { DeviceSpec } from '@gemmatune/engine';
import type { TrainOptions } from '@gemmatune/train';

/**
 * What a run may be given, beside the options of training: the model, the folder to write to, and the rows to train on (\`train\`, or
 * \`dataset\`) must be. TRL's names of training options (\`per_device_train_batch_size\`, …) are taken too.
 */
export interface FinetuneOptions extends Partial<TrainOptions> {
${members(Object.fromEntries(Object.entries(FINETUNE_OPTIONS).filter(([name]) => name === 'outputDir' || !(name in TRAIN_OPTIONS))), '?')}
}
`,
};
