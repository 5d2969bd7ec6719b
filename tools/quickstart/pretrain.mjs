/** Trains the base model from random weights on endless rows of the base tools. */
import { IGNORE, packBatch } from '../../packages/data/dist/index.js';
import { Model } from '../../packages/engine/dist/index.js';
import { renderToolRow } from '../../packages/template/dist/index.js';
import { baseRows, echoes } from './corpus.mjs';

/** @import { Tokenizer } from '../../packages/tokenizer/dist/index.js' */

/** The texts of all tokens that are letters. @param {Tokenizer} tokenizer */
function letterTokens(tokenizer) {
  const texts = Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.decode([id]));
  return texts.filter((text) => /^\p{L}+$/u.test(text));
}

/**
 * Ids and labels; the prompt is learnt only where `learntInFull`.
 * @param {Tokenizer} tokenizer
 * @param {string} promptText
 * @param {string} answerText
 * @param {boolean} learntInFull
 */
function encode(tokenizer, promptText, answerText, learntInFull) {
  const ids = (/** @type {string} */ text) => tokenizer.encode(text, { addSpecialTokens: false });
  const prompt = ids(promptText);
  const inputIds = Int32Array.from([...prompt, ...ids(answerText)]);
  const labels = inputIds.slice();
  if (!learntInFull) labels.fill(IGNORE, 0, prompt.length);
  return { inputIds, labels };
}

/**
 * Endless batches, easy ones first: at the start one or two tools are on offer, in the first third of training two or three, then
 * three to six. Answers are what counts, yet at first a quarter of the rows is learnt in full, so that declarations and requests are
 * read well. Echoes come along all the time: they cost little, and without them copying is what a small model learns last.
 * @param {Tokenizer} tokenizer
 * @param {{ seed: number, batchSize: number, echoSize: number }} settings
 * @param {() => number} progress share of the training done, 0 to 1
 * @returns {Generator<ReturnType<typeof packBatch>, never>}
 */
function* batches(tokenizer, { seed, batchSize, echoSize }, progress) {
  const mostOthers = () => (progress() < 0.1 ? 1 : progress() < 0.35 ? 2 : 5);
  const rows = baseRows(seed, mostOthers);
  const said = echoes(seed, letterTokens(tokenizer));
  for (let count = 0; ; count += batchSize) {
    const every = progress() < 0.15 ? 4 : 32;
    const calls = Array.from({ length: batchSize }, (_, i) => {
      const [prompt, answer] = renderToolRow(rows.next().value);
      return encode(tokenizer, prompt.text, answer.text, (count + i) % every === 0);
    });
    const copies = Array.from({ length: echoSize }, () => {
      const { prompt, answer } = said.next().value;
      return encode(tokenizer, prompt, answer, false);
    });
    yield packBatch([...calls, ...copies]);
  }
}

/**
 * AdamW with warm-up and cosine decay to a tenth. Everything follows from `seed`.
 * @param {import('../../packages/engine/dist/index.js').ModelConfig} config
 * @param {Tokenizer} tokenizer
 * @param {typeof import('./settings.mjs').PRETRAINING} settings
 * @param {(seen: { step: number, loss: number, accuracy: number, tokens: number }) => void} [onProgress] every 25 updates
 */
export async function pretrain(config, tokenizer, settings, onProgress) {
  const { seed, steps, learningRate, warmup } = settings;
  const dtype = /** @type {import('../../packages/engine/dist/index.js').DTypeName} */ (settings.dtype);
  const model = await Model.create(config, { dtype, threads: 2, trainable: true, seed });
  let step = 0;
  const data = batches(tokenizer, settings, () => step / steps);
  let seen = { loss: 0, targets: 0, correct: 0, tokens: 0 };
  for (step = 1; step <= steps; step++) {
    const batch = data.next().value;
    const { lossSum, targets, correct } = await model.accumulate(batch);
    const decay = 0.55 + 0.45 * Math.cos((Math.PI * Math.max(0, step - warmup)) / (steps - warmup));
    await model.update({
      learningRate: learningRate * Math.min(1, step / warmup) * decay,
      step,
      divisor: targets,
      maxGradNorm: 1,
      weightDecay: 0.01,
      beta1: 0.9,
      beta2: 0.98,
      epsilon: 1e-8,
    });
    seen = {
      loss: seen.loss + lossSum,
      targets: seen.targets + targets,
      correct: seen.correct + correct,
      tokens: seen.tokens + batch.tokens.length,
    };
    if (step % 25 === 0 || step === steps) {
      onProgress?.({
        step,
        loss: seen.loss / seen.targets,
        accuracy: seen.correct / seen.targets,
        tokens: seen.tokens,
      });
      seen = { loss: 0, targets: 0, correct: 0, tokens: 0 };
    }
  }
  return model;
}
