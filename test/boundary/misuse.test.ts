// Whatever is passed to the addon, it answers with an error that has a code and a sentence, and the model works on afterwards.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addon, batch, config, generateOptions, group, options, sharing, update } from './addon.js';

/** The error of a call, thrown or rejected. */
async function refusal(call: () => unknown): Promise<NodeJS.ErrnoException> {
  try {
    await call();
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    return error as NodeJS.ErrnoException;
  }
  throw new Error('the call was not refused');
}
const without = (object: object, name: string) =>
  Object.fromEntries(Object.entries(object).filter(([n]) => n !== name));

describe('the constructor', () => {
  it('makes a model of the example', () => {
    new addon.Model(config(), options()).dispose();
  });

  it.each(Object.keys(config()))('refuses a config without %s', async (name) => {
    const error = await refusal(() => new addon.Model(without(config(), name), options()));
    expect(error.code).toBe('ERR_GEMMATUNE_ARGUMENT');
    expect(error.message).toContain(name);
  });

  it.each(Object.keys(options()))('refuses options without %s', async (name) => {
    const error = await refusal(() => new addon.Model(config(), without(options(), name)));
    expect(error.code).toBe('ERR_GEMMATUNE_ARGUMENT');
    expect(error.message).toContain(name);
  });

  it.each([undefined, null, 1, 'config', Symbol('s')])('refuses %s as config', async (value) => {
    expect((await refusal(() => new addon.Model(value, options()))).code).toBe('ERR_GEMMATUNE_ARGUMENT');
  });

  it.each([
    'vocabSize',
    'hiddenSize',
    'numHeads',
    'numKvHeads',
    'headDim',
    'intermediateSize',
    'maxPositionEmbeddings',
  ])('refuses 0, -1, 1.5, NaN, Infinity and 2^60 as %s', async (name) => {
    for (const value of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60])
      expect(
        (await refusal(() => new addon.Model({ ...config(), [name]: value }, options()))).code,
        String(value),
      ).toMatch(/^ERR_GEMMATUNE_(ARGUMENT|SHAPE|MEMORY)$/);
  });

  it('refuses more memory than the machine has', async () => {
    const huge = { ...config(), vocabSize: 2 ** 40 };
    expect((await refusal(() => new addon.Model(huge, options()))).code).toMatch(
      /ERR_GEMMATUNE_(MEMORY|SHAPE|ARGUMENT)/,
    );
  });

  it('refuses a list of layer kinds that is not one byte per layer', async () => {
    const error = await refusal(() => new addon.Model({ ...config(), fullAttention: Uint8Array.of(1) }, options()));
    expect(error.message).toMatch(/fullAttention has 1 entries, expected .*2/);
  });

  it('refuses heads that the key-value heads do not divide', async () => {
    const error = await refusal(() => new addon.Model({ ...config(), numHeads: 3, numKvHeads: 2 }, options()));
    expect(error.code).toMatch(/ERR_GEMMATUNE_(ARGUMENT|SHAPE)/);
  });

  it.each([-1, 2 ** 40])('refuses %d threads', async (threads) => {
    expect((await refusal(() => new addon.Model(config(), { ...options(), threads }))).code).toBe(
      'ERR_GEMMATUNE_ARGUMENT',
    );
  });

  it.each(['cuda', 'emulated'])('refuses the device %s where this build lacks it', async (device) => {
    if (addon.info().backends.includes(device)) return;
    expect((await refusal(() => new addon.Model(config(), { ...options(), device }))).code).toBe(
      'ERR_GEMMATUNE_DEVICE',
    );
  });

  it('refuses a call without new, and methods on another object', async () => {
    await refusal(() => addon.Model(config(), options()));
    const model = new addon.Model(config(), options());
    for (const receiver of [{}, Object.create(addon.Model.prototype), undefined])
      await refusal(() => model.parameters.call(receiver));
    model.dispose();
  });
});

describe('an open model', () => {
  // biome-ignore lint/suspicious/noExplicitAny: the raw addon
  let model: any;
  let count: number;
  beforeAll(async () => {
    model = new addon.Model(config(), options());
    await model.initialize(1, 0.02);
    count = model.parameters().length;
  });
  afterAll(() => model.dispose());

  const WRONG = [
    undefined,
    null,
    1,
    'x',
    [],
    {},
    [1, 2],
    new Float32Array(5),
    new BigInt64Array(5),
    new ArrayBuffer(20),
  ];

  it('refuses every wrong type of every argument of every method', async () => {
    const { tokens, starts } = batch();
    const source = { index: 0, path: 'x', offset: 0, dtype: 'float32' };
    const calls: [string, (wrong: unknown) => unknown][] = [
      ['score', (w) => model.score(w)],
      ['score.tokens', (w) => model.score({ ...batch(), tokens: w })],
      ['score.targets', (w) => model.score({ ...batch(), targets: w })],
      ['score.starts', (w) => model.score({ ...batch(), starts: w })],
      ['accumulate', (w) => model.accumulate(w, true)],
      ['accumulate.last', (w) => model.accumulate(batch(), w)],
      ['share.group', (w) => model.share(w, sharing())],
      ...Object.keys(sharing()).map((name): [string, (w: unknown) => unknown] => [
        `share.${name}`,
        (w) => model.share(new addon.Group(group()), { ...sharing(), [name]: w }),
      ]),
      ['Group', (w) => new addon.Group(w)],
      ...Object.keys(group()).map((name): [string, (w: unknown) => unknown] => [
        `Group.${name}`,
        (w) => {
          const right = (name === 'size' || name.endsWith('Timeout')) && w === 1;
          const text = ['address', 'run', 'description'].includes(name) && w === 'x';
          if (right || text) throw new TypeError('skipped: this is right');
          return new addon.Group({ ...group(), [name]: w });
        },
      ]),
      ['gather.what', (w) => new addon.Group(group()).gather(w === 'x' ? 1 : w, new Uint8Array(1))],
      ['gather.mine', (w) => new addon.Group(group()).gather('what', w)],
      ['update', (w) => model.update(w)],
      ...Object.keys(update()).map((name): [string, (w: unknown) => unknown] => [
        `update.${name}`,
        (w) =>
          w === 1
            ? Promise.reject(new TypeError('skipped: a number is right'))
            : model.update({ ...update(), [name]: w }),
      ]),
      ['generate.tokens', (w) => model.generate(w, starts, generateOptions())],
      ['generate.starts', (w) => model.generate(tokens, w, generateOptions())],
      ['generate.options', (w) => model.generate(tokens, starts, w)],
      ['generate.stopIds', (w) => model.generate(tokens, starts, { ...generateOptions(), stopIds: w })],
      ['read.part', (w) => model.read(w, 0)],
      ['load.part', (w) => model.load(w, [source])],
      ['load.sources', (w) => model.load('weight', w === undefined || Array.isArray(w) ? [w] : w)],
      ['load.path', (w) => model.load('weight', [{ ...source, path: w }])],
      ['save.part', (w) => model.save(w, 'float32', '/nowhere/x', new Uint8Array(8))],
      ['save.dtype', (w) => model.save('weight', w, '/nowhere/x', new Uint8Array(8))],
      ['save.header', (w) => model.save('weight', 'float32', '/nowhere/x', w)],
    ];
    for (const [name, call] of calls)
      for (const wrong of WRONG) {
        const error = await refusal(() => call(wrong));
        expect(error.message.length, name).toBeGreaterThan(5);
      }
  });

  it.each([
    ['tokens past the vocabulary', { tokens: Int32Array.of(2, 5, 64, 7, 8) }],
    ['negative tokens', { tokens: Int32Array.of(2, 5, -1, 7, 8) }],
    ['the largest int as token', { tokens: Int32Array.of(2, 5, 2147483647, 7, 8) }],
    ['targets past the vocabulary', { targets: Int32Array.of(5, 64, 7, 8, -100) }],
    ['targets below 0 other than -100', { targets: Int32Array.of(5, -1, 7, 8, -100) }],
    ['too few targets', { targets: Int32Array.of(5, 6) }],
    ['no starts', { starts: Int32Array.of() }],
    ['starts that do not begin at 0', { starts: Int32Array.of(1, 5) }],
    ['starts that end early', { starts: Int32Array.of(0, 4) }],
    ['starts past the end', { starts: Int32Array.of(0, 6) }],
    ['starts that run backwards', { starts: Int32Array.of(0, 4, 3, 5) }],
    ['an empty sequence', { starts: Int32Array.of(0, 3, 3, 5) }],
    ['negative starts', { starts: Int32Array.of(0, -1, 5) }],
    ['an empty batch', { tokens: Int32Array.of(), targets: Int32Array.of(), starts: Int32Array.of(0) }],
  ])('refuses a batch with %s', async (_, wrong) => {
    for (const method of ['score', 'accumulate'])
      expect((await refusal(() => model[method]({ ...batch(), ...wrong }, true))).code, method).toMatch(
        /ERR_GEMMATUNE_(ARGUMENT|SHAPE)/,
      );
    if (!('targets' in wrong) || 'tokens' in wrong) {
      const { tokens, starts } = { ...batch(), ...wrong };
      expect((await refusal(() => model.generate(tokens, starts, generateOptions()))).code).toMatch(
        /ERR_GEMMATUNE_(ARGUMENT|SHAPE)/,
      );
    }
  });

  it('refuses a sequence longer than max_position_embeddings', async () => {
    const n = config().maxPositionEmbeddings + 1;
    const long = { tokens: new Int32Array(n), targets: new Int32Array(n).fill(-100), starts: Int32Array.of(0, n) };
    expect((await refusal(() => model.score(long))).message).toMatch(/4097 .*expected at most 4096/);
  });

  it.each([
    ['maxNewTokens', [0, -1, 1.5, Number.NaN, 2 ** 40]],
    ['batchSize', [0, -1, 1.5, Number.NaN]],
    ['temperature', [-1, Number.NaN, Number.POSITIVE_INFINITY]],
    ['topK', [-1, 1.5, Number.NaN]],
    ['topP', [-0.1, 1.1, Number.NaN]],
    ['seed', [1.5, Number.NaN]],
  ])('refuses a wrong %s of generate', async (name, values) => {
    const { tokens, starts } = batch();
    for (const value of values)
      expect(
        (await refusal(() => model.generate(tokens, starts, { ...generateOptions(), [name]: value }))).code,
        `${name} = ${value}`,
      ).toMatch(/ERR_GEMMATUNE_(ARGUMENT|SHAPE)/);
  });

  it.each([
    ['divisor', [0, -1, Number.NaN]],
    ['step', [0, -1, 1.5, Number.NaN]],
    ['learningRate', [Number.NaN, Number.POSITIVE_INFINITY]],
    ['beta1', [-0.1, 1, Number.NaN]],
    ['beta2', [-0.1, 1, Number.NaN]],
    ['epsilon', [-1, Number.NaN]],
    ['weightDecay', [Number.NaN]],
    ['maxGradNorm', [-1, Number.NaN]],
    ['seed', [1.5, Number.NaN]],
  ])('refuses a wrong %s of update, and leaves the weights alone', async (name, values) => {
    await model.accumulate(batch(), true);
    const before = await model.read('weight', 0);
    for (const value of values)
      expect((await refusal(() => model.update({ ...update(), [name]: value }))).code, `${name} = ${value}`).toBe(
        'ERR_GEMMATUNE_ARGUMENT',
      );
    expect(await model.read('weight', 0)).toEqual(before);
  });

  it.each([-1, 1e6, 1.5, Number.NaN])('refuses the parameter index %d', async (index) => {
    expect((await refusal(() => model.read('weight', index))).code).toBe('ERR_GEMMATUNE_ARGUMENT');
  });

  it('refuses a seed or a deviation that is no number, and leaves the weights alone', async () => {
    const before = await model.read('weight', 0);
    for (const [seed, std] of [
      [1.5, 0.02],
      [Number.NaN, 0.02],
      [1, Number.NaN],
      [1, -1],
      [1, Number.POSITIVE_INFINITY],
    ])
      expect((await refusal(() => model.initialize(seed, std))).code, `${seed}, ${std}`).toBe('ERR_GEMMATUNE_ARGUMENT');
    expect(await model.read('weight', 0)).toEqual(before);
  });

  it('refuses loads from wrong places', async () => {
    const source = { index: 0, path: '/dev/null', offset: 0, dtype: 'float32' };
    for (const wrong of [
      { index: count },
      { index: -1 },
      { offset: -1 },
      { path: '/no/such/file' },
      { path: '/dev' },
      {},
    ])
      expect((await refusal(() => model.load('weight', [{ ...source, ...wrong }]))).code).toMatch(
        /ERR_GEMMATUNE_(ARGUMENT|FILE)/,
      );
  });

  it('takes training calls only when trainable', async () => {
    const frozen = new addon.Model(config(), { ...options(), trainable: false });
    for (const call of [
      () => frozen.accumulate(batch(), true),
      () => frozen.update(update()),
      () => frozen.read('exp_avg', 0),
    ])
      expect((await refusal(call)).message).toContain('trainable');
    frozen.dispose();
  });

  it('copies arrays at the call: the caller may reuse them at once', async () => {
    const expected = (await model.score(batch())).lossSum;
    const reused = batch();
    const running = model.score(reused);
    reused.tokens.fill(-7);
    reused.targets.fill(-7);
    reused.starts.fill(-7);
    expect((await running).lossSum).toBe(expected);
  });

  it('refuses arrays whose memory was given away', async () => {
    const given = batch();
    structuredClone(given.tokens.buffer, { transfer: [given.tokens.buffer] });
    expect((await refusal(() => model.score(given))).code).toMatch(/ERR_GEMMATUNE_(ARGUMENT|SHAPE)/);
  });

  it('refuses a second call while one runs, and takes it afterwards', async () => {
    const first = model.accumulate(batch(), true);
    for (const call of [() => model.score(batch()), () => model.update(update()), () => model.dispose()])
      expect((await refusal(call)).code).toBe('ERR_GEMMATUNE_BUSY');
    await first;
    await model.score(batch());
  });

  it('still computes the same after all of the above', async () => {
    const fresh = new addon.Model(config(), options());
    await fresh.initialize(1, 0.02);
    expect((await model.score(batch())).lossSum).toBe((await fresh.score(batch())).lossSum);
    fresh.dispose();
  });
});

describe('a disposed model', () => {
  it('refuses every call with ERR_GEMMATUNE_CLOSED; disposing again is fine', async () => {
    const model = new addon.Model(config(), options());
    model.dispose();
    model.dispose();
    const { tokens, starts } = batch();
    for (const call of [
      () => model.parameters(),
      () => model.memory(),
      () => model.cancel(),
      () => model.initialize(1, 0.02),
      () => model.score(batch()),
      () => model.accumulate(batch(), true),
      () => model.update(update()),
      () => model.read('weight', 0),
      () => model.generate(tokens, starts, generateOptions()),
      () => model.load('weight', []),
      () => model.save('weight', 'float32', '/nowhere/x', new Uint8Array(8)),
    ])
      expect((await refusal(call)).code).toBe('ERR_GEMMATUNE_CLOSED');
  });
});
