// Model folders that are missing, cut short, spoilt or made for another program, and places that cannot be written to: one error each,
// with a code, that names the file and what is wrong in it. Nothing that was there before is lost.
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Model } from '@gemmatune/engine';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { goldenPath } from '../golden/load.js';

let temp: string;
/** A fresh copy of the tiny model for each test. */
let folder: string;
let copies = 0;
beforeAll(() => {
  temp = mkdtempSync(join(tmpdir(), 'gemmatune-files-'));
});
beforeEach(() => {
  folder = join(temp, String(copies++));
  mkdirSync(folder);
  for (const name of ['config.json', 'generation_config.json', 'model.safetensors'])
    copyFileSync(goldenPath(`tiny/${name}`), join(folder, name));
});
afterAll(() => rmSync(temp, { recursive: true, force: true }));

async function refusal(call: Promise<unknown>): Promise<Error & { code?: string }> {
  const error = await call.then(
    () => new Error('the call was not refused'),
    (e: Error) => e,
  );
  expect(error.message).not.toBe('the call was not refused');
  return error;
}
const refusalOfLoad = () => refusal(Model.load(folder, { dtype: 'float32' }));

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}
interface File {
  header: Record<string, Entry>;
  data: Buffer;
}
/** Takes model.safetensors apart, lets `change` spoil it, and writes it back. */
function spoil(change: (file: File) => void): void {
  const path = join(folder, 'model.safetensors');
  const bytes = readFileSync(path);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const file: File = { header: JSON.parse(bytes.toString('utf8', 8, start)), data: bytes.subarray(start) };
  change(file);
  const header = Buffer.from(JSON.stringify(file.header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(path, Buffer.concat([length, header, file.data]));
}
const NORM = 'model.norm.weight';

describe('model.safetensors', () => {
  it('loads as it is, and after being taken apart and put together', async () => {
    spoil(() => {});
    await (await Model.load(folder)).dispose();
  });

  it.each([0, 7, 8, 100, -1])('cut at byte %d', async (at) => {
    const path = join(folder, 'model.safetensors');
    truncateSync(path, at < 0 ? readFileSync(path).length + at : at);
    const error = await refusalOfLoad();
    expect(error.code).toBe('ERR_GEMMATUNE_FILE');
    expect(error.message).toContain(path);
  });

  it.each([
    ['an error page', Buffer.from('<!DOCTYPE html><html>not found</html>')],
    ['a git-lfs pointer', Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 427168\n')],
    ['a header that is not JSON', Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{"a"')])],
    ['a header that is null', Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('null')])],
    ['a header that is a list', Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('[]')])],
    ['a tensor that is null', Buffer.concat([Buffer.from([10, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{"a":null}')])],
    ['a header length of 2^63', Buffer.from([0, 0, 0, 0, 0, 0, 0, 0x80, 1, 2, 3])],
  ])('replaced by %s', async (_, bytes) => {
    const path = join(folder, 'model.safetensors');
    writeFileSync(path, bytes);
    const error = await refusalOfLoad();
    expect(error.code).toBe('ERR_GEMMATUNE_FILE');
    expect(error.message).toContain(folder);
  });

  it.each([
    ['NaN', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['-Infinity', Number.NEGATIVE_INFINITY],
  ])('with %s among the weights', async (name, value) => {
    spoil(({ header, data }) => data.writeFloatLE(value, header[NORM]!.data_offsets[0] + 8));
    const error = await refusalOfLoad();
    expect(error.code).toBe('ERR_GEMMATUNE_FILE');
    expect(error.message).toContain(NORM);
    expect(error.message).toMatch(/finite|nan|inf/i);
    expect(name).toBeTruthy();
  });

  it('with a tensor of another shape', async () => {
    spoil(({ header }) => {
      header[NORM]!.shape = [24, 2];
    });
    const error = await refusalOfLoad();
    expect(error.code).toBe('ERR_GEMMATUNE_SHAPE');
    expect(error.message).toContain(`${NORM} has shape [24, 2], config.json expects [48]`);
  });

  it('without one of its tensors', async () => {
    spoil(({ header }) => {
      delete header[NORM];
    });
    expect((await refusalOfLoad()).message).toContain(`tensor ${NORM} is missing`);
  });

  it('with a tensor too many', async () => {
    spoil(({ header }) => {
      header['model.layers.4.mlp.up_proj.weight'] = header[NORM]!;
    });
    expect((await refusalOfLoad()).message).toContain('model.layers.4.mlp.up_proj.weight is not part of the model');
  });

  it.each([
    ['dtype I64', (e: Entry) => Object.assign(e, { dtype: 'I64' }), /I64, expected F32, BF16 or F16/],
    ['negative sizes', (e: Entry) => Object.assign(e, { shape: [-48] }), /shape \[-48\]/],
    ['huge sizes', (e: Entry) => Object.assign(e, { shape: [2 ** 40, 2 ** 40] }), /data_offsets/],
    ['offsets past the end', (e: Entry) => Object.assign(e, { data_offsets: [1e9, 1e9 + 192] }), /truncated/],
    ['offsets that run backwards', (e: Entry) => Object.assign(e, { data_offsets: [192, 0] }), /data_offsets/],
    ['no offsets', (e: Entry) => Object.assign(e, { data_offsets: undefined }), /data_offsets/],
  ])('with %s of a tensor', async (_, change, message) => {
    spoil(({ header }) => change(header[NORM]!));
    const error = await refusalOfLoad();
    expect(error.code).toBe('ERR_GEMMATUNE_FILE');
    expect(error.message).toMatch(message);
  });

  it('a shard that is missing, or lies elsewhere', async () => {
    rmSync(join(folder, 'model.safetensors'));
    const index = join(folder, 'model.safetensors.index.json');
    for (const [shard, message] of [
      ['model-00001-of-00001.safetensors', /model-00001-of-00001\.safetensors: cannot open: ENOENT/],
      ['../model.safetensors', /weight_map names '\.\.\/model\.safetensors', expected a file beside it/],
      [7, /weight_map names 7/],
    ] as const) {
      writeFileSync(index, JSON.stringify({ weight_map: { [NORM]: shard } }));
      expect((await refusalOfLoad()).message).toMatch(message);
    }
    for (const text of ['{', 'null', '{}', '[]']) {
      writeFileSync(index, text);
      const error = await refusalOfLoad();
      expect(error.code, text).toBe('ERR_GEMMATUNE_FILE');
      expect(error.message, text).toContain(index);
    }
  });
});

describe('config.json', () => {
  const change = (fields: Record<string, unknown>) => {
    const path = join(folder, 'config.json');
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...fields }));
  };

  it('and the folder missing', async () => {
    folder = join(temp, 'nowhere');
    const error = await refusalOfLoad();
    expect(error.code).toBe('ERR_GEMMATUNE_FILE');
    expect(error.message).toMatch(
      /nowhere\/config\.json: there is no such file; expected a file of a Hugging Face model folder/,
    );
  });

  it('of another model type', async () => {
    change({ model_type: 'llama' });
    const error = await refusalOfLoad();
    expect(error.code).toBe('ERR_GEMMATUNE_ARGUMENT');
    expect(error.message).toMatch(/config\.json: model_type is "llama", expected "gemma3_text" or "gemma3"/);
  });

  it.each(['', '{', '[]', 'null', '"gemma3_text"'])('that holds %j', async (text) => {
    writeFileSync(join(folder, 'config.json'), text);
    const error = await refusalOfLoad();
    expect(error.code).toMatch(/ERR_GEMMATUNE_(FILE|ARGUMENT)/);
    expect(error.message).toContain(join(folder, 'config.json'));
  });

  it.each([
    ['hidden_size', '48'],
    ['hidden_size', 48.5],
    ['hidden_size', 0],
    ['hidden_size', null],
    ['num_hidden_layers', -4],
    ['vocab_size', []],
    ['num_key_value_heads', 3],
    ['head_dim', 15],
    ['layer_types', ['full_attention']],
    ['layer_types', ['full_attention', 'sliding_attention', 'full_attention', 'mamba']],
    ['rms_norm_eps', 'small'],
    ['eos_token_id', 'eos'],
    ['hidden_activation', 'silu'],
    ['tie_word_embeddings', false],
    ['attn_logit_softcapping', 50],
  ])('with %s = %j', async (field, value) => {
    // Its own list of stop ids would hide config.json's.
    rmSync(join(folder, 'generation_config.json'));
    change({ [field]: value });
    const error = await refusalOfLoad();
    expect(error.code).toBe('ERR_GEMMATUNE_ARGUMENT');
    expect(error.message).toContain(join(folder, 'config.json'));
    expect(error.message).toMatch(field === 'num_key_value_heads' ? /num_attention_heads/ : new RegExp(field));
  });

  it('whose sizes do not fit the weights', async () => {
    change({ intermediate_size: 97 });
    expect((await refusalOfLoad()).message).toMatch(/has shape \[96, 48\], config\.json expects \[97, 48\]/);
  });
});

describe('save', () => {
  let model: Model;
  beforeEach(async () => {
    model = await Model.load(folder, { dtype: 'float32', trainable: true });
  });

  it.runIf(existsSync('/dev/full'))('to a full disk: says so and keeps the model that is there', async () => {
    const before = readFileSync(join(folder, 'model.safetensors'));
    // What is written first, before it takes the old file's place, goes to a device that is always full.
    symlinkSync('/dev/full', join(folder, 'model.safetensors.partial'));
    const error = await refusal(model.save(folder));
    expect(error.code).toBe('ERR_GEMMATUNE_FILE');
    expect(error.message).toContain(join(folder, 'model.safetensors'));
    expect(error.message).toContain('No space left on device');
    expect(readFileSync(join(folder, 'model.safetensors'))).toEqual(before);
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'generation_config.json', 'model.safetensors']);
    await model.dispose();
  });

  it('over a file, under a file, and onto a folder', async () => {
    writeFileSync(join(folder, 'plain'), 'text');
    for (const place of [join(folder, 'plain'), join(folder, 'plain', 'below')])
      expect((await refusal(model.save(place))).code).toBe('ERR_GEMMATUNE_FILE');
    expect(readFileSync(join(folder, 'plain'), 'utf8')).toBe('text');
    mkdirSync(join(folder, 'out', 'model.safetensors'), { recursive: true });
    const error = await refusal(model.save(join(folder, 'out')));
    expect(error.code).toBe('ERR_GEMMATUNE_FILE');
    expect(readdirSync(join(folder, 'out'))).toEqual(['model.safetensors']);
    await model.dispose();
  });

  it.skipIf(process.getuid?.() === 0)('into a folder that may not be written', async () => {
    mkdirSync(join(folder, 'locked'));
    chmodSync(join(folder, 'locked'), 0o500);
    const error = await refusal(model.save(join(folder, 'locked')));
    expect(error.code).toBe('ERR_GEMMATUNE_FILE');
    expect(error.message).toContain('Permission denied');
    await model.dispose();
  });

  it('over the folder that it was loaded from, twice, gives the same model', async () => {
    const before = await model.read('weight', NORM);
    await model.save(folder);
    await model.save(folder);
    const again = await Model.load(folder, { dtype: 'float32' });
    expect(await again.read('weight', NORM)).toEqual(before);
    await again.dispose();
    await model.dispose();
  });

  it('state that is missing or cut short is refused on loadState, and names the file', async () => {
    const state = join(folder, 'state');
    expect((await refusal(model.loadState(state))).message).toMatch(/state\/master\.safetensors: cannot open: ENOENT/);
    await model.saveState(state);
    truncateSync(join(state, 'exp_avg_sq.safetensors'), 5000);
    expect((await refusal(model.loadState(state))).message).toMatch(/exp_avg_sq\.safetensors: .*truncated/);
    await model.dispose();
  });
});
