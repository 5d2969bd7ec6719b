import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { HubError } from './errors.js';
import { type KaggleOptions, pullKaggle } from './kaggle.js';
import { findHere, orNearHere } from './local-path.js';
import { type PullOptions, type PullProgress, pull } from './pull.js';
import { idAndRevision } from './repo.js';

export interface ResolveModelOptions
  extends Omit<PullOptions, 'repoType' | 'allow' | 'ignore' | 'onProgress'>,
    Omit<KaggleOptions, 'onProgress'> {
  /** `total` is absent while a Kaggle archive comes in. */
  onProgress?: ((progress: Omit<PullProgress, 'total'> & { total?: number }) => void) | undefined;
}

/** What a model needs to be loaded; other formats in a repository (GGUF, ONNX, PyTorch pickles) stay there. */
const MODEL_FILES = ['*.json', '*.safetensors', '*.jinja', 'tokenizer.model', 'README.md', 'LICENSE*'];
const OTHER_FORMATS = ['onnx/*', 'original/*', 'coreml/*'];

/**
 * A model folder from whatever names it: a folder, `kaggle:owner/model/framework/variation[/version]`, or a Hub id
 * `organisation/name`, with `@revision` behind it if wanted. A folder on this machine goes before the Hub.
 *
 * @returns the absolute path of a folder with `config.json`
 * @throws HubError
 */
export async function resolveModel(spec: string, options: ResolveModelOptions = {}): Promise<string> {
  const folder = await locate(spec, options);
  if (!(await stat(join(folder, 'config.json')).catch(() => undefined))) {
    throw new HubError(
      'ERR_GEMMATUNE_HUB_NOT_FOUND',
      `${folder} has no config.json: ${spec} is no model in the Hugging Face layout.`,
    );
  }
  return folder;
}

async function locate(spec: string, options: ResolveModelOptions): Promise<string> {
  if (spec.startsWith('kaggle:')) return pullKaggle(spec, options);
  const found = await findHere(spec, 'model folder');
  if (found?.isDirectory()) return resolve(spec);
  if (found)
    throw new HubError('ERR_GEMMATUNE_HUB_ARGUMENT', `${resolve(spec)} is a file: expected the model's folder.`);
  const { id, ...revision } = idAndRevision(spec);
  const pulled = pull(id, { ...options, ...revision, allow: MODEL_FILES, ignore: OTHER_FORMATS });
  return orNearHere(spec, 'model folder', pulled);
}
