import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { InputError } from '@gemmatune/base';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileTables, TokenizerFormatError } from './definition.js';
import { tinyDefinition, tinyId } from './tiny.case.js';
import { Tokenizer } from './tokenizer.js';

let folder: string;
let cacheFolder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gemmatune-tokenizer-'));
  cacheFolder = join(folder, 'cache');
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tinyDefinition()));
});
afterAll(() => rm(folder, { recursive: true }));

const load = () => Tokenizer.load(folder, { cacheFolder });
const ids = (...tokens: string[]) => Int32Array.from(tokens.map(tinyId));
const encode = async (text: string) => (await load()).encode(text, { addSpecialTokens: false });

describe('encode', () => {
  it.each([
    // text, tokens
    ['', []],
    ['abc', ['ab', 'c']],
    ['abc abc', ['ab', 'c', '▁ab', 'c']],
    ['bc', ['bc']],
    [' a', ['▁a']],
    ['▁a', ['▁a']],
    ['a ', ['a', '▁']],
    ['a\n\n\nb', ['a', '\n\n', '\n', 'b']],
    ['a\n b', ['a', '\n', '▁', 'b']],
    // two raw spaces are no ▁▁ token: added tokens are matched before spaces become ▁
    ['a  b', ['a', '▁', '▁', 'b']],
    ['a▁▁b', ['a', '▁▁', 'b']],
    ['a> </b', ['a', '>▁</', 'b']],
    ['a> b', ['a', '>', '▁', 'b']],
    ['<escape>a<escape>', ['<escape>', 'a', '<escape>']],
    ['<escape', ['<', '<0x65>', '<0x73>', 'c', 'a', '<0x70>', '<0x65>']],
    ['<bos>a', ['<bos>', 'a']],
    ['é', ['é']],
    ['è', ['<0xC3>', '<0xA8>']],
    ['😀', ['<0xF0>', '<0x9F>', '<0x98>', '<0x80>']],
    ['\ud800a\udc00', ['\ufffd', 'a', '\ufffd']],
  ])('%j', async (text, tokens) => {
    expect(await encode(text)).toEqual(ids(...tokens));
  });

  it('adds <bos> as the post-processor says, once per call, and not when told so', async () => {
    const tokenizer = await load();
    expect(tokenizer.encode('a')).toEqual(ids('<bos>', 'a'));
    expect(tokenizer.encode('<bos>a')).toEqual(ids('<bos>', '<bos>', 'a'));
    expect(tokenizer.encode('<bos>a', { addSpecialTokens: false })).toEqual(ids('<bos>', 'a'));
  });

  it('merges long words as it merges short ones', async () => {
    expect(await encode('abc'.repeat(5000))).toEqual(ids(...Array(5000).fill(['ab', 'c']).flat()));
  });

  it('reads a blank outside the vocabulary as the bytes of ▁', async () => {
    const definition = tinyDefinition();
    delete definition.model.vocab['▁'];
    definition.model.merges = [['a', 'b']];
    const path = join(folder, 'blankless.json');
    await writeFile(path, JSON.stringify(definition));
    const tokenizer = await Tokenizer.load(path, { cacheFolder });
    expect(tokenizer.encode('ab a', { addSpecialTokens: false })).toEqual(ids('ab', '<0xE2>', '<0x96>', '<0x81>', 'a'));
  });
});

describe('encodeParts', () => {
  it('tells where each text ends where added tokens meet it, with the ids of the whole', async () => {
    const tokenizer = await load();
    const texts = ['', 'a <escape>', 'b c', '', '\n', 'ab'];
    expect(tokenizer.encodeParts(texts)).toEqual({ ids: tokenizer.encode(texts.join('')), ends: [1, 4, 7, 7, 8, 9] });
    expect(tokenizer.encodeParts(['a'], { addSpecialTokens: false })).toEqual({ ids: ids('a'), ends: [1] });
  });

  it.each([
    // a merge, an added token and a character that lie across; then places where none does but one might
    [['a', 'b']],
    [['\n', '\n']],
    [['a\ud83d', '\ude00']],
    [['a', ' a']],
    [['a\n', 'b', 'c']],
  ])('does not know for %j', async (texts) => {
    expect((await load()).encodeParts(texts)).toBeUndefined();
  });

  it('leaves tokens behind the text to encode', async () => {
    const definition = tinyDefinition();
    const [bos, text] = definition.post_processor!.single;
    definition.post_processor!.single = [text!, bos!];
    const path = join(folder, 'suffix.json');
    await writeFile(path, JSON.stringify(definition));
    const tokenizer = await Tokenizer.load(path, { cacheFolder });
    expect(tokenizer.encode('a')).toEqual(ids('a', '<bos>'));
    expect(tokenizer.encodeParts(['a\n', 'b'])).toBeUndefined();
    expect(tokenizer.encodeParts(['a\n', 'b'], { addSpecialTokens: false })?.ends).toEqual([2, 3]);
  });
});

describe('remembered words', () => {
  it('are told apart, and forgotten when there are too many, without a change of ids', async () => {
    const tokenizer = await load();
    // 130,000 words of the letters a, b, c: more than are remembered.
    const words = Array.from(
      { length: 130_000 },
      (_, i) => ` ${i.toString(3).replace(/\d/g, (d) => 'abc'[Number(d)]!)}`,
    );
    const once = tokenizer.encode(words.join(''), { addSpecialTokens: false });
    const again = tokenizer.encode(words.join(''), { addSpecialTokens: false });
    expect(again).toEqual(once);
    expect(tokenizer.decode(once)).toBe(words.join(''));
    const fresh = await load();
    for (const i of [0, 1, 99_999, 100_000, 129_999]) {
      expect(tokenizer.encode(words[i]!)).toEqual(fresh.encode(words[i]!));
    }
  });
});

describe('decode', () => {
  it('prints ▁ as a space and joins bytes to characters', async () => {
    const tokenizer = await load();
    expect(tokenizer.decode(tokenizer.encode('abc  è😀\n\nbc'))).toBe('<bos>abc  è😀\n\nbc');
  });

  it('prints one U+FFFD per byte of a run that is not UTF-8, the whole run', async () => {
    const tokenizer = await load();
    expect(tokenizer.decode(ids('a', '<0xC3>', '<0xA8>', '<0xC3>', 'b'))).toBe('a\ufffd\ufffd\ufffdb');
    expect(tokenizer.decode(ids('<0xC3>', 'a', '<0xA8>'))).toBe('\ufffda\ufffd');
    expect(tokenizer.decode(ids('<0xEF>', '<0xBB>', '<0xBF>'))).toBe('\ufeff');
  });

  it('leaves out special tokens on request, and a special token does not end a run of bytes', async () => {
    const tokenizer = await load();
    const all = ids('<bos>', '<escape>', '<0xC3>', '<end_of_turn>', '<0xA8>', '<pad>');
    expect(tokenizer.decode(all)).toBe('<bos><escape>\ufffd<end_of_turn>\ufffd<pad>');
    expect(tokenizer.decode(all, { skipSpecialTokens: true })).toBe('<escape>è');
  });

  it('refuses ids that are no tokens', async () => {
    const tokenizer = await load();
    const message = 'tokenOf: id is 281, expected the id of a token, from 0 to 280.';
    expect(tokenizer.vocabSize).toBe(281);
    expect(() => tokenizer.decode([281])).toThrow(message);
    expect(() => tokenizer.decode([-1])).toThrow(InputError);
    expect(() => tokenizer.decode([1.5])).toThrow(InputError);
  });
});

describe('lookups', () => {
  it('names ids and tokens', async () => {
    const tokenizer = await load();
    expect([tokenizer.padId, tokenizer.eosId, tokenizer.bosId]).toEqual([0, 1, 2]);
    expect([...tokenizer.specialIds]).toEqual([0, 1, 2, 3, tinyId('<end_of_turn>')]);
    expect(tokenizer.idOf('<escape>')).toBe(tinyId('<escape>'));
    expect(tokenizer.idOf('▁ab')).toBe(tinyId('▁ab'));
    expect(tokenizer.idOf('nowhere')).toBeUndefined();
    expect(tokenizer.tokenOf(tinyId('▁ab'))).toBe('▁ab');
    expect(() => tokenizer.tokenOf(999)).toThrow(InputError);
  });

  it('takes the names of the special tokens from tokenizer_config.json', async () => {
    const other = join(folder, 'named');
    await mkdir(other);
    await writeFile(join(other, 'tokenizer.json'), JSON.stringify(tinyDefinition()));
    const config = { bos_token: '<escape>', eos_token: { content: '<end_of_turn>' }, pad_token: null };
    await writeFile(join(other, 'tokenizer_config.json'), JSON.stringify(config));
    const tokenizer = await Tokenizer.load(other, { cacheFolder });
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.padId]).toEqual([
      tinyId('<escape>'),
      tinyId('<end_of_turn>'),
      0,
    ]);
  });
});

describe('load', () => {
  it('reads tokenizer.json.gz and merges written as "a b"', async () => {
    const definition = tinyDefinition();
    definition.model.merges = definition.model.merges.map((merge) => (merge as string[]).join(' '));
    definition.model.ignore_merges = undefined;
    const path = join(folder, 'old.json.gz');
    await writeFile(path, gzipSync(JSON.stringify(definition)));
    const tokenizer = await Tokenizer.load(path, { cacheFolder });
    expect(tokenizer.encode('abc> </')).toEqual(ids('<bos>', 'ab', 'c', '>▁</'));
  });

  it('gives the same answers from the cache, and rebuilds a cache file of the wrong length', async () => {
    const own = join(folder, 'own-cache');
    const fresh = await Tokenizer.load(folder, { cacheFolder: own });
    const names = await readdir(join(own, 'tokenizers'));
    expect(names).toEqual([expect.stringMatching(/^[0-9a-f]{64}\.v1\.bin$/)]);
    const cached = await Tokenizer.load(folder, { cacheFolder: own });
    expect(cached.encode('abc è> </')).toEqual(fresh.encode('abc è> </'));
    expect(cached.decode(cached.encode('abc è'))).toBe('<bos>abc è');

    const file = join(own, 'tokenizers', names[0]!);
    const whole = await readFile(file);
    for (const length of [0, 8, 40, whole.length - 4, whole.length + 4]) {
      await truncate(file, length);
      const rebuilt = await Tokenizer.load(folder, { cacheFolder: own });
      expect(rebuilt.encode('abc')).toEqual(fresh.encode('abc'));
      expect(await readFile(file)).toEqual(whole);
    }
  });

  it('works where the cache folder cannot be made', async () => {
    const tokenizer = await Tokenizer.load(folder, { cacheFolder: join(folder, 'tokenizer.json', 'under-a-file') });
    expect(tokenizer.encode('abc')).toEqual(ids('<bos>', 'ab', 'c'));
  });

  it('says what is missing or damaged', async () => {
    await expect(Tokenizer.load(join(folder, 'none'))).rejects.toThrow(
      /none holds no tokenizer\.json; give a model folder/,
    );
    const cut = join(folder, 'cut.json');
    await writeFile(cut, '{"model": {');
    await expect(Tokenizer.load(cut, { cacheFolder })).rejects.toThrow(/cut\.json: .*JSON.* fetch it again\./);
  });
});

describe('tokenizer.json of another family', () => {
  type Definition = ReturnType<typeof tinyDefinition>;
  const cases: [string, (definition: Definition) => void, RegExp][] = [
    [
      'normalizer',
      (d) => {
        d.normalizer = null;
      },
      /^f: normalizer is null, expected \{"type":"Replace"/,
    ],
    [
      'pre-tokenizer',
      (d) => {
        d.pre_tokenizer = { type: 'ByteLevel' };
      },
      /pre_tokenizer is \{"type":"ByteLevel"\}, expected/,
    ],
    [
      'decoder',
      (d) => {
        d.decoder.decoders.pop();
      },
      /decoder is .*, expected/,
    ],
    [
      'model type',
      (d) => {
        d.model.type = 'Unigram';
      },
      /model\.type is 'Unigram', expected 'BPE'/,
    ],
    [
      'byte fallback',
      (d) => {
        d.model.byte_fallback = false;
      },
      /model\.byte_fallback is false, expected true/,
    ],
    [
      'ignore_merges',
      (d) => {
        d.model.ignore_merges = true;
      },
      /model\.ignore_merges is true, expected false/,
    ],
    [
      'post-processor',
      (d) => {
        d.post_processor.type = 'ByteLevel';
      },
      /post_processor\.type is 'ByteLevel'/,
    ],
    [
      'unknown special',
      (d) => {
        d.post_processor.special_tokens = {};
      },
      /special_tokens\["<bos>"\] is nothing/,
    ],
    [
      'no text',
      (d) => {
        d.post_processor.single.pop();
      },
      /post_processor\.single .* the text exactly once/,
    ],
    [
      'stripping added token',
      (d) => {
        Object.assign(d.added_tokens[4]!, { lstrip: true });
      },
      /added_tokens\[4\]\.lstrip \(token <escape>\) is true/,
    ],
    [
      'added token under another id',
      (d) => {
        d.added_tokens[2]!.id = 3;
      },
      /added_tokens\[2\]\.id \(token <bos>\) is 3, expected 2/,
    ],
    [
      'id used twice',
      (d) => {
        d.added_tokens[5]!.id = 10;
      },
      /the id of token "\\n" is 10, expected an id of its own \("<0x06>" has it\)/,
    ],
    [
      'byte without a token',
      (d) => {
        delete d.model.vocab['<0x41>'];
      },
      /model\.vocab\["<0x41>"\] is nothing/,
    ],
    [
      'merge of no token',
      (d) => {
        d.model.merges.push(['c', 'c']);
      },
      /model\.merges\[7\] is \["c","c"\], expected tokens of model\.vocab \("cc" is not\)/,
    ],
    [
      'merge of three',
      (d) => {
        d.model.merges.push('a b c');
      },
      /model\.merges\[7\] is 'a b c', expected two tokens/,
    ],
  ];
  it.each(cases)('is refused: %s', (_name, change, message) => {
    const definition = tinyDefinition();
    change(definition);
    expect(() => compileTables(definition, 'f')).toThrow(TokenizerFormatError);
    expect(() => compileTables(definition, 'f')).toThrow(message);
  });

  it('is refused when it is no object at all', () => {
    expect(() => compileTables([], 'f')).toThrow('f: the file is [], expected an object');
    expect(() => compileTables({}, 'f')).toThrow('f: model is nothing, expected an object');
  });
});
