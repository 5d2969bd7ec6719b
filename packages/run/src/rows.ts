/** Rows of a file, for training and for evaluation. */

import { InputError } from '@gemmatune/base';
import {
  type Encoded,
  type EncodedRow,
  type EncodeOptions,
  encodeEach,
  encodeRows,
  type Renderer,
  readTrainingRows,
  type TextTokenizer,
} from '@gemmatune/data';
import { type ChatTemplate, renderToolRow, type TargetFormat } from '@gemmatune/template';
import type { Tokenizer } from '@gemmatune/tokenizer';
import type { TrainOptions } from '@gemmatune/train';
import type { ModelText } from './model.js';

/** The settings of training that decide how rows are encoded. */
export type EncodeSettings = Pick<TrainOptions, 'loss' | 'maxLength' | 'compat' | 'packing'> & { format: TargetFormat };

/**
 * Encodes the training rows of a file.
 * @throws InputError naming the file and the line
 */
export async function encodeFile(
  path: string,
  source: ModelText,
  vocabSize: number,
  settings: EncodeSettings,
): Promise<Encoded> {
  return encodeRows(readTrainingRows(path), await encodeOptions(source, vocabSize, settings), path);
}

/** The same rows one after another, none of them held. */
export async function* encodedRows(
  path: string,
  source: ModelText,
  vocabSize: number,
  settings: EncodeSettings,
): AsyncIterable<EncodedRow> {
  const options = await encodeOptions(source, vocabSize, settings);
  for await (const { row } of encodeEach(readTrainingRows(path), options, path)) yield row;
}

/** How rows of a model are encoded. A folder without a tokenizer will do for rows of token ids. */
export async function encodeOptions(
  source: ModelText,
  vocabSize: number,
  { loss, maxLength, compat, format }: EncodeSettings,
): Promise<EncodeOptions> {
  const tokenizer = (await source.hasTokenizer()) ? await source.tokenizer() : undefined;
  const eosToken = tokenizer && endToken(tokenizer);
  return {
    tokenizer: tokenizer ?? noTokenizer(source.folder),
    renderer: await renderer(source),
    format,
    maxLength,
    vocabSize,
    ...(loss && { loss }),
    ...(compat && { compat }),
    ...(eosToken && { eosToken }),
  };
}

function endToken(tokenizer: Tokenizer): string | undefined {
  return tokenizer.eosId === undefined ? undefined : tokenizer.tokenOf(tokenizer.eosId);
}

/** Rows of ids need no tokenizer; the first row that does is refused. */
function noTokenizer(folder: string): TextTokenizer {
  return {
    encode() {
      throw new InputError(
        `${folder} has no tokenizer.json, expected one for rows of text; rows of input_ids need none.`,
      );
    },
  };
}

/** Conversations by the model's own template, tool rows in FunctionGemma's format. A folder without a template may have tool rows. */
async function renderer(source: ModelText): Promise<Renderer> {
  const template: ChatTemplate | Error = await source.template().catch((error: Error) => error);
  return {
    renderToolRow,
    renderSegments(messages, tools) {
      if (template instanceof Error) throw template;
      return template.renderSegments(messages, tools);
    },
  };
}
