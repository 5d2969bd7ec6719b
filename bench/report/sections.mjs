// What result files say, as titles, tables and charts; the page and the text render these.
/** @import { ResultFile } from '../measure/results.mjs' */

import { newest } from '../measure/read-results.mjs';
import { groupBy } from './group.mjs';
import { barsSection } from './sections/bars.mjs';
import { decodeSection } from './sections/generation.mjs';
import { historySection } from './sections/history.mjs';
import { kernelsSection } from './sections/kernels.mjs';
import { peersSection } from './sections/peers.mjs';
import { pipelineSection } from './sections/pipeline.mjs';
import { ranksSection } from './sections/ranks.mjs';
import { rooflineSection } from './sections/roofline.mjs';
import { scalingSection } from './sections/scaling.mjs';
import { trainSection } from './sections/train.mjs';
import { tuneSection } from './sections/tune.mjs';

/**
 * @typedef {string | { text: string, tone: 'good' | 'bad' }} Cell
 * @typedef {{ columns: string[], rows: Cell[][], text?: boolean, notes?: string[] }} Table text: columns are words, not numbers
 * @typedef {object} Section
 * @property {string} title
 * @property {string} [note]
 * @property {Block[]} blocks of the page
 * @property {Table} [summary] for the page of text
 * @property {ResultFile} [file] that it shows
 *
 * @typedef {object} Block one of them
 * @property {Table} [table]
 * @property {import('./charts.mjs').BarChart} [bars]
 * @property {import('./charts.mjs').StackedChart} [stack]
 * @property {import('@gemmatune/run/report').LineChart} [lines]
 * @property {string} [text]
 */

/** @type {Record<string, (file: ResultFile) => Section | null>} */
const BY_SUITE = {
  kernels: kernelsSection,
  train: trainSection,
  decode: decodeSection,
  pipeline: pipelineSection,
  scaling: scalingSection,
  ranks: ranksSection,
  tune: tuneSection,
  peers: peersSection,
  roofline: rooflineSection,
};

/**
 * The sections of each machine, that of the newest result first.
 * @param {readonly ResultFile[]} results
 * @returns {{ machine: ResultFile['machine'], files: ResultFile[], sections: Section[] }[]} files: the newest of each suite
 */
export function machines(results) {
  const byDate = [...results].sort((a, b) => (a.date < b.date ? -1 : a.date > b.date ? 1 : 0));
  const last = (/** @type {ResultFile[]} */ own) => own[own.length - 1];
  return [...groupBy(byDate, ({ machine }) => machine.id).values()]
    .sort((a, b) => (last(a).date < last(b).date ? 1 : -1))
    .map((own) => {
      const files = Object.keys(BY_SUITE).flatMap((suite) => newest(own, suite) ?? []);
      const sections = [
        barsSection(files),
        ...files.map((file) => {
          const section = BY_SUITE[file.suite](file);
          return section && { ...section, file };
        }),
        historySection(own),
      ];
      return { machine: last(own).machine, files, sections: sections.filter((section) => section !== null) };
    });
}

/** One line on a machine. @param {ResultFile['machine']} machine */
export function machineText({ cpu, id, cores, instructionSet, memoryBytes, os, node, gpus }) {
  const cards = gpus.map(({ name }) => name);
  const parts = [
    cpu ?? id,
    cores && `${cores} core${cores === 1 ? '' : 's'}`,
    instructionSet,
    memoryBytes && `${Math.round(memoryBytes / 2 ** 30)} GiB`,
    ...cards,
    os,
    node && `Node ${node}`,
  ];
  return parts.filter(Boolean).join(', ');
}

/** The commits that files were measured at. @param {readonly ResultFile[]} files */
export function commitText(files) {
  const texts = files.map(({ commit, dirty }) =>
    commit ? `${commit}${dirty ? ' with changes' : ''}` : 'an unknown commit',
  );
  return [...new Set(texts)].join(', ');
}
