/**
 * `tokenizer.json` of the Gemma 3 family: text to ids and back, equal to the Rust tokenizers id for id.
 *
 * - `Tokenizer.load(folder)` reads it (through a compact cache), `encode` and `decode` use it.
 * - `definition.ts` says which tokenizer.json files are understood, `bpe.ts` holds the merging.
 */
export { TokenizerFormatError } from './definition.js';
export { type DecodeOptions, type EncodeOptions, type LoadOptions, Tokenizer } from './tokenizer.js';
