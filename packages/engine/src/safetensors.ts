/** The safetensors format: 8 bytes of header length, a JSON header, then the tensors. The bytes of tensors are the core's to read. */

import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { shown } from '@gemmatune/base';
import type { DTypeName, ParameterInfo } from './addon.js';
import { EngineError } from './errors.js';

/** Where a tensor lies: `offset` from the start of the file. */
export interface TensorEntry {
  path: string;
  offset: number;
  dtype: 'float32' | 'bfloat16' | 'float16';
  shape: number[];
}

const FILE_DTYPES = { F32: 'float32', BF16: 'bfloat16', F16: 'float16' } as const;
const BYTES = { float32: 4, bfloat16: 2, float16: 2 } as const;
const MAX_HEADER = 100_000_000;

const refuse = (path: string, what: string): never => {
  throw new EngineError('ERR_GEMMATUNE_FILE', `${path}: ${what}`);
};

/** Tensors of one file by name. Refuses a header that does not fit the file. */
export async function readSafetensors(path: string): Promise<Map<string, TensorEntry>> {
  const file = await open(path).catch((cause: NodeJS.ErrnoException) =>
    refuse(path, `cannot open: ${cause.code ?? cause.message}`),
  );
  try {
    const { size } = await file.stat();
    const prefix = Buffer.alloc(8);
    if (size < 8) refuse(path, `holds ${size} bytes, expected a safetensors file`);
    await file.read(prefix, 0, 8, 0);
    const length = Number(prefix.readBigUInt64LE());
    if (length > Math.min(MAX_HEADER, size - 8))
      refuse(path, `its header claims ${length} bytes, the file holds ${size}: truncated, or not a safetensors file`);
    const header = Buffer.alloc(length);
    await file.read(header, 0, length, 8);
    return parseHeader(path, header.toString('utf8'), 8 + length, size);
  } finally {
    await file.close();
  }
}

function parseHeader(path: string, json: string, dataStart: number, size: number): Map<string, TensorEntry> {
  let header: unknown;
  try {
    header = JSON.parse(json);
  } catch (cause) {
    refuse(path, `its header is not JSON (${(cause as Error).message}): not a safetensors file`);
  }
  if (typeof header !== 'object' || header === null)
    refuse(path, `its header is ${shown(header)}, expected an object: not a safetensors file`);
  const tensors = new Map<string, TensorEntry>();
  for (const [name, value] of Object.entries(header as Record<string, unknown>)) {
    if (name === '__metadata__') continue;
    const t = (value ?? {}) as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
    const dtype =
      FILE_DTYPES[t.dtype as keyof typeof FILE_DTYPES] ??
      refuse(path, `${name} has dtype ${String(t.dtype)}, expected F32, BF16 or F16`);
    const isCount = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) >= 0;
    const shape =
      Array.isArray(t.shape) && t.shape.every(isCount)
        ? (t.shape as number[])
        : refuse(path, `${name} has shape ${shown(t.shape)}, expected a list of sizes`);
    const [begin, end] =
      Array.isArray(t.data_offsets) && t.data_offsets.every(isCount) ? (t.data_offsets as number[]) : [];
    const bytes = shape.reduce((a, b) => a * b, 1) * BYTES[dtype];
    if (begin === undefined || end === undefined || end - begin !== bytes)
      refuse(
        path,
        `${name} has data_offsets ${shown(t.data_offsets)}, expected ${bytes} bytes for ${dtype} [${shape.join(', ')}]`,
      );
    if (dataStart + end! > size)
      refuse(path, `${name} ends at byte ${dataStart + end!}, the file holds ${size}: truncated; download it again`);
    tensors.set(name, { path, offset: dataStart + begin!, dtype, shape });
  }
  return tensors;
}

/**
 * All tensors of a model folder: model.safetensors, or the shards that model.safetensors.index.json lists. Reads headers only.
 * @throws EngineError ERR_GEMMATUNE_FILE naming the file and what is wrong with it
 */
export async function readModelTensors(folder: string): Promise<Map<string, TensorEntry>> {
  const indexPath = join(folder, 'model.safetensors.index.json');
  const index = await readFile(indexPath, 'utf8').catch(() => undefined);
  if (index === undefined) return readSafetensors(join(folder, 'model.safetensors'));
  let map: unknown;
  try {
    map = (JSON.parse(index) as { weight_map?: unknown }).weight_map;
  } catch (cause) {
    refuse(indexPath, `is not JSON (${(cause as Error).message})`);
  }
  if (typeof map !== 'object' || map === null) refuse(indexPath, 'has no weight_map');
  const all = new Map<string, TensorEntry>();
  for (const shard of new Set(Object.values(map as Record<string, string>))) {
    if (typeof shard !== 'string' || shard.includes('/') || shard.includes('\\'))
      refuse(indexPath, `weight_map names ${shown(shard)}, expected a file beside it`);
    for (const [name, entry] of await readSafetensors(join(folder, shard))) all.set(name, entry);
  }
  return all;
}

/** Tensors that a text model does not need: the tied head, and the vision side of a multimodal checkpoint. */
const NOT_TEXT =
  /^(lm_head\.|vision_tower\.|multi_modal_projector\.|model\.vision_tower\.|model\.multi_modal_projector\.)/;

/** The tensors of the text model, by their plain names: multimodal checkpoints carry it under a prefix. */
export function textTensors(tensors: ReadonlyMap<string, TensorEntry>): Map<string, TensorEntry> {
  const plain = (name: string) =>
    name.replace(/^language_model\.model\./, 'model.').replace(/^model\.language_model\./, 'model.');
  return new Map([...tensors].filter(([name]) => !NOT_TEXT.test(name)).map(([name, t]) => [plain(name), t]));
}

/** The first bytes of a file that holds `parameters` in order, as transformers writes them (metadata format "pt"). */
export function safetensorsHeader(parameters: readonly ParameterInfo[], dtype: DTypeName): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let offset = 0;
  for (const p of parameters) {
    const end = offset + p.shape.reduce((a, b) => a * b, 1) * BYTES[dtype];
    header[p.name] = { dtype: dtype === 'float32' ? 'F32' : 'BF16', shape: p.shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, ' ');
  padded.writeBigUInt64LE(BigInt(padded.length - 8), 0);
  json.copy(padded, 8);
  return padded;
}
