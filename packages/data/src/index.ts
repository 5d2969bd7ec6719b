/**
 * From files to batches, in the order a row travels:
 * formats/ reads rows, rows/ (with hermes/) makes training rows of them, prepare shuffles and splits them, encode turns them into ids
 * and labels, packing and batch put them together.
 */
export * from './batch.js';
export * from './encode.js';
export {
  detectFormat,
  FORMATS,
  type Format,
  type FormatName,
  type MalformedLine,
  readRows,
  type SourceRow,
} from './formats/index.js';
export { packRows, TRL_PACKING_ROWS } from './packing.js';
export {
  type Dropped,
  type Prepared,
  type PreparedRow,
  type PrepareOptions,
  type PrepareReport,
  prepare,
  type SideReport,
} from './prepare.js';
export { prepareFiles } from './prepare-files.js';
export { DROP_REASONS, type DropReason, LAYOUTS, type LayoutName, normaliseRow } from './rows/index.js';
export type { TextTokenizer } from './segments.js';
export { numpyPermutation, torchRandperm } from './shuffle.js';
export { readTrainingRows } from './training-rows.js';
export { writePrepared } from './write-prepared.js';
