/**
 * Hugging Face Hub and Kaggle.
 *
 * - `resolveModel(spec)`: a folder, a Hub id or `kaggle:…` as a local model folder; `resolveDataset(spec)`: as data files.
 * - `pull`, `pullDataset`, `pullKaggle`: downloads that resume, check hashes and share the caches of the Python clients.
 * - `push`: a model folder to the Hub as one commit, with a `modelCard`.
 * - `resolveToken`: where the Hugging Face token comes from.
 *
 * Every failure is a `HubError` with a stable code and one sentence that says what to do.
 */

export { hubCacheDir, type RepoType } from './cache.js';
export { type DatasetOptions, pullDataset, resolveDataset } from './dataset.js';
export { HUB_ERROR_CODES, HubError, type HubErrorCode } from './errors.js';
export type { RetryOptions } from './http.js';
export { type KaggleHandle, type KaggleOptions, parseKaggleHandle, pullKaggle } from './kaggle.js';
export { type CardMetrics, type ModelCard, modelCard } from './model-card.js';
export { type PullOptions, type PullProgress, pull } from './pull.js';
export { type PushOptions, type PushProgress, push } from './push.js';
export { type ResolveModelOptions, resolveModel } from './resolve-model.js';
export { type Environment, type ResolvedToken, resolveToken, type TokenOptions } from './token.js';
