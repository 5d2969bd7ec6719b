import { chmod, copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expectArgument, expectOptions, readJsonFile, readJsonIfThere } from '@gemmatune/base';
import type {
  Batch,
  BatchMetrics,
  DeviceName,
  DTypeName,
  GenerateOptions,
  NativeModel,
  OpTime,
  ParameterInfo,
  Part,
  Recompute,
  SharingOptions,
  TensorSource,
  Traffic,
  Update,
} from './addon.js';
import { configJson, type ModelConfig, parseModelConfig } from './config.js';
import { type DeviceSpec, parseDevice } from './device.js';
import { EngineError, rethrow, rethrowAsync } from './errors.js';
import { type Group, nativeGroup } from './group.js';
import { native, systemInfo } from './native.js';
import { readModelTensors, readSafetensors, safetensorsHeader, type TensorEntry, textTensors } from './safetensors.js';

export interface ModelOptions {
  /**
   * Type of weights in products and of activations; sums are float32, and so are master weights in training. `auto`: bfloat16 on a
   * GPU, which takes no other, where the CPU multiplies it in hardware, and without masterWeights; else float32.
   */
  dtype?: DTypeName | 'auto';
  /** Default: cpu. A device that is not there is refused with the reason, never replaced. */
  device?: DeviceSpec;
  /** CPU threads; default one per core. The result does not depend on it. */
  threads?: number;
  /** Hold gradients, AdamW moments and float32 master weights (16 bytes a parameter in all). */
  trainable?: boolean;
  /**
   * Keep float32 masters of bfloat16 weights in training; default true. False is for machines with little memory: weights, gradients and
   * both moments are bfloat16, 8 bytes a parameter in all instead of 16. Updates are rounded stochastically, so that small ones are
   * kept on average; the same `seed` gives the same bits. On the CPU only.
   */
  masterWeights?: boolean;
  /**
   * What the backward pass makes again instead of keeping it; default elementwise on the CPU, where its cost is lost in the noise, nothing on a
   * GPU. The same bits, less memory.
   */
  recompute?: Recompute;
  /** The same as recompute 'blocks', under the name that trainers have for it. */
  gradientCheckpointing?: boolean;
}

const OPTIONS: Record<keyof ModelOptions, true> = {
  ...{ dtype: true, device: true, threads: true, trainable: true, masterWeights: true, recompute: true },
  ...{ gradientCheckpointing: true },
};

/** Memory of a training pass over a number of tokens and targets, in bytes. */
export interface PassMemory {
  /** By what is recomputed. */
  bytes: Readonly<Record<Recompute, number>>;
  /** What passes may use: free on the device, and what they hold already. null: not limited (cpu). */
  available: number | null;
}

export interface GenerateRequest extends Partial<Omit<GenerateOptions, 'stopIds'>> {
  maxNewTokens: number;
  /** Default: eos_token_id of generation_config.json, else of config.json. */
  stopIds?: readonly number[];
  signal?: AbortSignal;
  /** Hears how many prompts are done. */
  onProgress?: (done: number) => void;
}

const REQUEST: Record<keyof GenerateRequest, true> = {
  ...{ maxNewTokens: true, stopIds: true, temperature: true, topK: true, topP: true, seed: true, batchSize: true },
  ...{ signal: true, onProgress: true },
};

/** Files of a model folder that a fine-tuned copy takes over as they are. */
const COMPANION_FILES = [
  'tokenizer.json',
  'tokenizer.json.gz',
  'tokenizer.model',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
];

/**
 * A Gemma 3 text model in memory. One call at a time; every call runs off the event loop. Failures are EngineError with a stable
 * code.
 */
export class Model implements AsyncDisposable {
  readonly config: ModelConfig;
  readonly dtype: DTypeName;
  readonly device: DeviceName;
  readonly deviceIndex: number;
  readonly parameters: readonly ParameterInfo[];
  readonly #native: NativeModel;
  readonly #configJson: Record<string, unknown>;
  readonly #generationJson: Record<string, unknown> | undefined;
  readonly #folder: string | undefined;
  #running: Promise<unknown> = Promise.resolve();

  private constructor(
    config: ModelConfig,
    json: Record<string, unknown>,
    generation: Record<string, unknown> | undefined,
    folder: string | undefined,
    options: ModelOptions,
  ) {
    this.config = config;
    this.#configJson = json;
    this.#generationJson = generation;
    this.#folder = folder;
    const where = parseDevice(options.device ?? 'cpu');
    if (where === undefined)
      throw new EngineError(
        'ERR_GEMMATUNE_ARGUMENT',
        `device is '${options.device}', expected cpu, cuda, cuda:1 (or another number) or emulated`,
      );
    this.device = where.device;
    this.deviceIndex = where.index;
    const {
      dtype = 'auto',
      masterWeights = true,
      gradientCheckpointing = false,
      recompute = gradientCheckpointing ? 'blocks' : where.device === 'cpu' ? 'elementwise' : 'none',
    } = options;
    const automatic = masterWeights ? fastDtype(where.device) : 'bfloat16';
    this.dtype = dtype === 'auto' ? automatic : dtype;
    const { layerTypes, bosTokenId: _bos, padTokenId: _pad, eosTokenIds: _eos, ...numbers } = config;
    this.#native = rethrow(
      () =>
        new (native().Model)(
          { ...numbers, fullAttention: Uint8Array.from(layerTypes, (t) => (t === 'full_attention' ? 1 : 0)) },
          {
            dtype: this.dtype,
            device: this.device,
            deviceIndex: this.deviceIndex,
            threads: options.threads ?? 0,
            trainable: options.trainable ?? false,
            masterWeights,
            recompute,
          },
        ),
    );
    this.parameters = this.#native.parameters();
  }

  /**
   * Reads config.json, generation_config.json and *.safetensors (single or sharded; F32, BF16 or F16) of a Hugging Face model
   * folder. Refuses missing, unexpected, misshapen and non-finite tensors, naming file and tensor.
   */
  static async load(folder: string, options: ModelOptions = {}): Promise<Model> {
    expectArgument('Model.load', 'folder', folder, typeof folder === 'string', 'the path of a model folder');
    expectOptions('Model.load', options, OPTIONS);
    const configPath = join(folder, 'config.json');
    const json = (await readJsonFile(configPath, unreadable(configPath))) as Record<string, unknown>;
    const generationPath = join(folder, 'generation_config.json');
    const generation = (await readJsonIfThere(generationPath, unreadable(generationPath))) as
      | Record<string, unknown>
      | undefined;
    const config = parseModelConfig(json, configPath, generation);
    const tensors = await readModelTensors(folder);
    const model = new Model(config, json!, generation, folder, options);
    try {
      await model.#call(() => model.#native.load('weight', model.#sources(tensors, folder)));
    } catch (error) {
      await model.dispose();
      throw error;
    }
    return model;
  }

  /** A randomly initialised model: matrices normal(0, std), norms zero; a pure function of config and seed. */
  static async create(
    config: ModelConfig,
    options: ModelOptions & { seed?: number; std?: number } = {},
  ): Promise<Model> {
    expectOptions('Model.create', options, { ...OPTIONS, seed: true, std: true });
    const model = new Model(config, configJson(config), undefined, undefined, options);
    await model.#call(() => model.#native.initialize(options.seed ?? 0, options.std ?? 0.02));
    return model;
  }

  /** Forward only: sums over the targets, and each target's log-probability (NaN where there is none). */
  score(batch: Batch): Promise<BatchMetrics & { logprobs: Float32Array }> {
    return this.#call(() => this.#native.score(batch));
  }

  /**
   * Trains together with the other ranks from now on; every rank calls this once, with the same weights and moments. Then every rank calls accumulate as often
   * in an update, and update itself. Rejects with ERR_GEMMATUNE_DEVICE where the library of collectives is missing, saying what to do, and
   * with ERR_GEMMATUNE_RANK where a rank is lost, now or in any later call.
   */
  async share(group: Group, options: SharingOptions = {}): Promise<{ collectives: string }> {
    const { collectives = 'auto', wire = 'float32', sharded = true } = options;
    const sharing = { collectives, wire, sharded };
    return { collectives: await this.#call(() => this.#native.share(nativeGroup(group), sharing)) };
  }

  /**
   * Forward and backward: adds the gradient of the summed token losses. The model must be trainable. In a shared model `null` takes part in a pass
   * without rows, and `last` says that this is the update's last pass: gradients are added up between ranks while it runs.
   */
  accumulate(batch: Batch | null, { last = true }: { last?: boolean } = {}): Promise<BatchMetrics> {
    return this.#call(() => this.#native.accumulate(batch ?? NO_ROWS, last));
  }

  /**
   * In a sharded model each rank updates its own part; this brings all parts, weights and moments, to every rank.
   * Every rank calls it before score, generate, save or saveState.
   */
  completeCopies(): Promise<void> {
    return this.#call(() => this.#native.completeCopies());
  }

  /** Of weights and moments: the same text where they are the same, bit for bit. */
  async checksum(): Promise<string> {
    return (await this.#call(() => this.#native.checksum())).toString(16).padStart(16, '0');
  }

  /** What sharing has cost so far. */
  traffic(): Traffic {
    return rethrow(() => this.#native.traffic());
  }

  /** Norm, clip, AdamW (Loshchilov & Hutter 2019, as torch's fused kernel computes it). A non-finite norm leaves the weights alone: applied is false. */
  update(update: Update): Promise<{ gradNorm: number; applied: boolean }> {
    return this.#call(() => this.#native.update({ ...update, seed: update.seed ?? 0 }));
  }

  /** Forgets the gradient accumulated since the last update. */
  discard(): Promise<void> {
    return this.#call(() => this.#native.discard());
  }

  /**
   * New ids for each prompt (token ids, `<bos>` included); the stop id that ended a prompt is its last. Greedy unless temperature
   * is given. A result depends on its prompt and the seed alone, not on the batch. An aborted signal rejects with its reason.
   */
  async generate(prompts: readonly Int32Array[], request: GenerateRequest): Promise<Int32Array[]> {
    const lists = Array.isArray(prompts) && prompts.every((ids) => ids instanceof Int32Array);
    expectArgument('generate', 'prompts', prompts, lists, 'a list of token ids as Int32Array for each prompt');
    expectOptions('generate', request, REQUEST);
    const { signal } = request;
    signal?.throwIfAborted();
    if (prompts.length === 0) return [];
    const starts = new Int32Array(prompts.length + 1);
    prompts.forEach((p, i) => {
      starts[i + 1] = starts[i]! + p.length;
    });
    const tokens = new Int32Array(starts[prompts.length]!);
    prompts.forEach((p, i) => {
      tokens.set(p, starts[i]);
    });
    const options: GenerateOptions = {
      maxNewTokens: request.maxNewTokens,
      stopIds: Int32Array.from(request.stopIds ?? this.config.eosTokenIds),
      temperature: request.temperature ?? 0,
      topK: request.topK ?? 0,
      topP: request.topP ?? 1,
      seed: request.seed ?? 0,
      batchSize: request.batchSize ?? 16,
    };
    const cancel = () => this.#native.cancel();
    // A callback that throws must not reach native code: the call is cancelled and rejects with that error.
    let thrown: { error: unknown } | undefined;
    const onProgress = (done: number) => {
      try {
        request.onProgress?.(done);
      } catch (error) {
        thrown ??= { error };
        cancel();
      }
    };
    try {
      const ids = await this.#call(() => {
        const running = this.#native.generate(tokens, starts, options, onProgress);
        signal?.addEventListener('abort', cancel, { once: true });
        return running;
      });
      // Thrown when the last prompt was done: there was nothing left to cancel.
      if (thrown) throw (thrown as { error: unknown }).error;
      return ids;
    } catch (error) {
      if (thrown) throw thrown.error;
      if (signal?.aborted) throw signal.reason;
      throw error;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  /**
   * Writes a model folder that transformers loads unchanged: config.json, generation_config.json, model.safetensors (weights as
   * `dtype`, default the model's own) and the tokenizer files of the folder it was loaded from.
   */
  async save(folder: string, options: { dtype?: DTypeName } = {}): Promise<void> {
    const dtype = options.dtype ?? this.dtype;
    await rethrowAsync(() => mkdir(folder, { recursive: true }));
    await this.#savePart('weight', dtype, join(folder, 'model.safetensors'));
    const { torch_dtype: _old, ...config } = this.#configJson;
    const generation = this.#generationJson ?? {
      bos_token_id: this.config.bosTokenId,
      eos_token_id: this.config.eosTokenIds,
      pad_token_id: this.config.padTokenId,
    };
    await rethrowAsync(async () => {
      await writeFile(join(folder, 'config.json'), `${JSON.stringify({ ...config, dtype }, null, 2)}\n`);
      await writeFile(join(folder, 'generation_config.json'), `${JSON.stringify(generation, null, 2)}\n`);
      if (this.#folder === undefined) return;
      const present = new Set(await readdir(this.#folder));
      for (const name of COMPANION_FILES) {
        if (!present.has(name)) continue;
        await copyFile(join(this.#folder, name), join(folder, name));
        await chmod(join(folder, name), 0o644); // caches keep files read-only; ours may be written over
      }
    });
  }

  /** What exact resume needs: (master) weights and AdamW's moments as float32, in master, exp_avg and exp_avg_sq .safetensors. */
  async saveState(folder: string): Promise<void> {
    await rethrowAsync(() => mkdir(folder, { recursive: true }));
    for (const [part, name] of STATE_FILES) await this.#savePart(part, 'float32', join(folder, name));
  }

  /** Restores what saveState wrote, and forgets an accumulated gradient; the model must be trainable and of the same configuration. */
  async loadState(folder: string): Promise<void> {
    await this.discard();
    for (const [part, name] of STATE_FILES) {
      const path = join(folder, name);
      const sources = this.#sources(await readSafetensors(path), path);
      await this.#call(() => this.#native.load(part, sources));
    }
  }

  /** One parameter's numbers as float32: its (master) weight, a moment, or the accumulated gradient. */
  read(part: Part, name: string): Promise<Float32Array> {
    const index = this.parameters.findIndex((p) => p.name === name);
    expectArgument('read', 'name', name, index >= 0, 'one of the names in model.parameters');
    return this.#call(() => this.#native.read(part, index));
  }

  /** What a training pass over so many tokens, with so many targets, would take, and what there is for it. Grows with both. */
  passMemory(tokens: number, targets: number): PassMemory {
    const { bytes, available } = rethrow(() => this.#native.plan(tokens, targets));
    return { bytes, available: this.device === 'cpu' ? null : available };
  }

  /** What the backward pass recomputes from the next pass on. The same bits. */
  setRecompute(recompute: Recompute): void {
    rethrow(() => this.#native.setRecompute(recompute));
  }

  /** Times every op from now on, or no longer. On a GPU ops then wait for each other, so the whole takes longer. */
  profile(on: boolean): void {
    rethrow(() => this.#native.profile(on));
  }

  /** What each op took since the last take, in order of first call; empty unless profiling is on. */
  takeProfile(): OpTime[] {
    return rethrow(() => this.#native.takeProfile());
  }

  /** Bytes held: weights (with masters, if any), training state, and the largest activations so far. */
  memory(): { weights: number; state: number; activations: number } {
    return rethrow(() => this.#native.memory());
  }

  /** Frees the memory after the running call, if any, has ended. Later calls reject with ERR_GEMMATUNE_CLOSED. */
  async dispose(): Promise<void> {
    await this.#running;
    this.#native.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async #call<T>(body: () => Promise<T>): Promise<T> {
    const running = rethrowAsync(body);
    // What dispose waits for; a failure is the caller's to see, not dispose's.
    this.#running = Promise.allSettled([this.#running, running]);
    return running;
  }

  #savePart(part: Part, dtype: DTypeName, path: string): Promise<void> {
    return this.#call(() => this.#native.save(part, dtype, path, safetensorsHeader(this.parameters, dtype)));
  }

  /** Pairs every parameter with its place in a file; `where` names the folder or file in errors. */
  #sources(tensors: Map<string, TensorEntry>, where: string): TensorSource[] {
    const byName = textTensors(tensors);
    const sources = this.parameters.map((p, index) => {
      const t = byName.get(p.name);
      if (!t) throw new EngineError('ERR_GEMMATUNE_FILE', `${where}: tensor ${p.name} is missing`);
      if (t.shape.join() !== p.shape.join())
        throw new EngineError(
          'ERR_GEMMATUNE_SHAPE',
          `${t.path}: ${p.name} has shape [${t.shape.join(', ')}], config.json expects [${p.shape.join(', ')}]`,
        );
      byName.delete(p.name);
      return { index, path: t.path, offset: t.offset, dtype: t.dtype };
    });
    const [extra] = byName.keys();
    if (extra !== undefined)
      throw new EngineError(
        'ERR_GEMMATUNE_FILE',
        `${where}: tensor ${extra} is not part of the model that config.json describes`,
      );
    return sources;
  }
}

/** The type that multiplies fastest there. */
function fastDtype(device: DeviceName): DTypeName {
  return device !== 'cpu' || systemInfo().fastBfloat16 ? 'bfloat16' : 'float32';
}

const NO_ROWS: Batch = { tokens: new Int32Array(0), targets: new Int32Array(0), starts: Int32Array.of(0) };

const STATE_FILES = [
  ['weight', 'master.safetensors'],
  ['exp_avg', 'exp_avg.safetensors'],
  ['exp_avg_sq', 'exp_avg_sq.safetensors'],
] as const satisfies readonly (readonly [Part, string])[];

const unreadable = (path: string) => (what: string, cause: unknown) =>
  new EngineError('ERR_GEMMATUNE_FILE', `${path}: ${what}; expected a file of a Hugging Face model folder`, { cause });
