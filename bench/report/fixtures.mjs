// Made-up results of every suite, for tests: in the shape and size of real ones, measured nowhere.
/** @import { ResultFile } from '../measure/results.mjs' */
/** @import { Context } from '../suites/index.mjs' */

/** @type {ResultFile['machine']} */
export const MACHINE = {
  id: 'amd-epyc-avx512bf16-2c',
  cpu: 'AMD EPYC',
  cores: 2,
  memoryBytes: 24 * 2 ** 30,
  instructionSet: 'avx512+avx512-bf16',
  node: 'v20.20.2',
  os: 'linux 6.1',
  gpus: [],
};

/** @param {Partial<Context>} more @returns {Context} */
export const contextOf = (more = {}) => ({
  note: () => {},
  machine: MACHINE,
  signal: new AbortController().signal,
  earlier: [],
  ...more,
});

/**
 * @param {string} suite
 * @param {object[]} results
 * @param {Partial<ResultFile>} more
 * @returns {ResultFile}
 */
export function resultFile(suite, results, more = {}) {
  return {
    schema: 1,
    suite,
    date: '2026-11-28T01:02:03.000Z',
    short: false,
    commit: 'abc1234',
    dirty: false,
    machine: MACHINE,
    settings: {},
    results,
    bars: [],
    ...more,
  };
}

const SHAPES = [
  'qkv 554x1536x640',
  'o 554x640x1024',
  'gate_up 554x4096x640',
  'down 554x640x2048',
  'head 277x262144x640',
];

const kernel = (op, shape, share, compute) => ({
  device: 'cpu',
  op,
  shape,
  dtype: 'bfloat16',
  seconds: 3.1e-3,
  bytes: 5e6,
  flops: compute ? 1e9 : 0,
  ...(compute ? { flopsPerSecond: share * 473e9, bytesPerSecond: 1.6e9 } : { bytesPerSecond: share * 21e9 }),
  share,
});

export function kernelsFile() {
  const products = ['matmul_forward', 'matmul_backward_input', 'matmul_backward_weight'].flatMap((op, i) =>
    SHAPES.map((shape, j) => kernel(op, shape, 0.92 - 0.06 * i - 0.02 * j, true)),
  );
  const others = [
    'rmsnorm_forward',
    'rmsnorm_backward',
    'qk_norm_rope_forward',
    'qk_norm_rope_backward',
    'geglu_forward',
    'geglu_backward',
    'embedding_forward',
    'cross_entropy_forward',
    'global_norm',
    'adamw_update',
  ];
  return resultFile(
    'kernels',
    [
      { limit: 'copy', device: 'cpu', bytesPerSecond: 21e9 },
      { limit: 'fma bfloat16', device: 'cpu', flopsPerSecond: 473e9 },
      { limit: 'fma float32', device: 'cpu', flopsPerSecond: 236e9 },
      ...products,
      kernel('attention_forward', '554x4x256', 0.61, true),
      kernel('attention_backward', '554x4x256', 0.68, true),
      ...others.map((op, i) => kernel(op, '554x640', 0.95 - 0.05 * i, false)),
    ],
    {
      bars: [
        { what: 'matrix products at the share of the limit', bar: 0.85, value: 0.89, unit: '', met: true },
        { what: 'elementwise kernels at the share of copy', bar: 0.8, value: 0.71, unit: '', met: false },
      ],
    },
  );
}

const run = (loss, tokensPerSecond, phases, more = {}) => ({
  loss,
  device: 'cpu',
  dtype: 'bfloat16',
  sequences: 16,
  batch: 2,
  accumulation: 8,
  recompute: 'none',
  tokensPerSecond,
  supervisedTokensPerSecond: loss === 'full' ? tokensPerSecond : tokensPerSecond / 9.5,
  stepSeconds: 4432 / tokensPerSecond,
  stepSecondsSpread: 0.31,
  peakBytes: 4.69 * 2 ** 30,
  mfu: loss === 'full' ? 0.71 : 0.66,
  launchesPerStep: null,
  rooflineShare: 0.74,
  phases,
  losses: [12.4396, 11.5993],
  ...more,
});

export function trainFile(scale = 1, more = {}) {
  return resultFile(
    'train',
    [
      run('full', 190 * scale, {
        products: 7.1,
        attention: 1.9,
        head: 12.2,
        elementwise: 1.1,
        embedding: 0.02,
        update: 0.7,
        other: 0.3,
      }),
      run('completion', 370 * scale, {
        products: 7.1,
        attention: 1.9,
        head: 1.2,
        elementwise: 1.1,
        embedding: 0.02,
        update: 0.7,
        other: 0.2,
      }),
    ],
    more,
  );
}

export function decodeFile() {
  const batches = [1, 4, 16, 64];
  return resultFile('decode', [
    ...batches.map((batch) => ({
      what: 'prefill',
      batch,
      tokensPerSecond: 900 + 40 * Math.log2(batch),
      seconds: 0.2 * batch,
    })),
    ...batches.map((batch) => ({ what: 'decode', batch, tokensPerSecond: 36 * batch ** 0.8, seconds: 64 / 36 })),
    { what: 'evaluate', batch: 16, tokensPerSecond: 290, seconds: 41.3, rows: 109 },
  ]);
}

export function pipelineFile() {
  return resultFile(
    'pipeline',
    [
      ...[5000, 50_000].flatMap((rows) => [
        { what: 'prepare', rows, seconds: rows / 4200, rowsPerSecond: 4200, peakBytes: 130 * 2 ** 20 + 40 * rows },
        { what: 'tokenize', rows, seconds: rows / 3900, rowsPerSecond: 3900, peakBytes: 260 * 2 ** 20 + 60 * rows },
        {
          what: 'prepare+tokenize',
          rows,
          seconds: rows / 2022,
          rowsPerSecond: 2022,
          peakBytes: 260 * 2 ** 20 + 60 * rows,
        },
      ]),
      { what: 'start-up', command: 'gemmatune --help', seconds: 0.14 },
      { what: 'load', seconds: 0.83 },
    ],
    {
      bars: [
        { what: 'prepare and tokenize 50,000 rows', bar: 30, value: 24.7, unit: 's', met: true },
        { what: 'gemmatune --help', bar: 0.2, value: 0.14, unit: 's', met: true },
      ],
    },
  );
}

const long = (what, layers, tokens, secondsPerToken) => ({
  what,
  layers,
  dtype: 'bfloat16',
  tokens,
  activationBytes: 61_000 * tokens,
  peakBytes: 400e6 + 70_000 * tokens,
  passBytes: 70_000 * tokens,
  seconds: tokens * secondsPerToken,
});

export function scalingFile() {
  return resultFile(
    'scaling',
    [
      ...[1, 4, 16, 64].map((sequences, i) => ({
        what: 'sequences',
        sequences,
        tokensPerSecond: [880, 905, 911, 902][i],
      })),
      ...[2048, 4096, 8192, 16_384, 32_768].flatMap((tokens) => [
        long('attention memory', 'sliding,full', tokens, (1 + tokens / 16_000) / 2400),
        long('attention time', 'sliding,sliding', tokens, 1 / 2300),
      ]),
      { what: 'growth', of: 'activationBytes', layers: 'sliding,full', exponent: 1, atTheEnd: 1 },
      { what: 'growth', of: 'cpuSeconds', layers: 'sliding,full', exponent: 1.37, atTheEnd: 1.58 },
    ],
    { bars: [{ what: 'memory of attention grows as tokens to the power', bar: 1.1, value: 1.0, unit: '', met: true }] },
  );
}

export function ranksFile() {
  return resultFile('ranks', [
    {
      loss: 'completion',
      sharing: 'sharded',
      size: 2,
      collectives: 'gloo 0.5.0',
      dtype: 'bfloat16',
      tokensPerSecond: 350,
      tokensPerSecondAlone: 390,
      ratio: 0.9,
      stepSeconds: 12,
      collectivesOfStep: 60,
      bytesOfStep: 520e6,
      busySeconds: 1.1,
      waitedSeconds: 0.4,
      peakBytes: 4.4e9,
      peakBytesAlone: 4.6e9,
    },
  ]);
}

export function tuneFile() {
  const trial = (setting, tokensPerSecond, gigabytes, verdict, kept = false) => ({
    setting: { tokensPerPass: null, threads: 2, dtype: 'bfloat16', kernels: 'avx512', environment: {}, ...setting },
    tokensPerSecond,
    peakBytes: gigabytes && gigabytes * 1e9,
    seconds: 22,
    kept,
    verdict,
  });
  const other = { kernels: 'avx2', environment: { GEMMATUNE_CPU: 'avx2' } };
  const file = 'bench/results/local/tuned.json';
  return resultFile('tune', [
    trial({ batch: 2, recompute: 'none' }, 188, 5.04, 'where it starts'),
    trial({ batch: 4, recompute: 'none' }, 199, 5.6, 'faster', true),
    trial({ batch: 8, recompute: 'none' }, 201, 6.9, 'not faster by more than the spread'),
    trial({ batch: 4, recompute: 'elementwise' }, 194, 5.4, 'slower'),
    trial({ batch: 4, recompute: 'blocks' }, 161, 4.9, 'slower'),
    trial({ batch: 4, recompute: 'none', ...other }, null, null, 'did not end within 50 s: slower'),
    { best: { batch: 4, recompute: 'none' }, file, command: `npx gemmatune finetune --config ${file}` },
  ]);
}

export function peersFile(ratio = 3.1, more = {}) {
  const peer = (name, label, loss, precision, tokensPerSecond, peak) => ({
    peer: name,
    label,
    loss,
    precision,
    settings: { batch: 2, accumulation: 8 },
    tokensPerSecond,
    peakBytes: peak * 2 ** 30,
    losses: [12.4396, 11.5993],
    rounds: [tokensPerSecond, tokensPerSecond * 1.04],
  });
  return resultFile(
    'peers',
    [
      peer('gemmatune', 'gemmatune', 'full', 'amp', 190, 4.69),
      peer('trl', 'TRL, chunked_nll', 'full', 'amp', 190 / ratio, 7.41),
      peer('transformers', 'transformers, sdpa', 'full', 'amp', 71, 8.2),
      {
        ratio,
        ratioLow: ratio - 0.2,
        ratioHigh: ratio + 0.3,
        memoryRatio: 0.63,
        lossDifference: 2e-4,
        lossTolerance: 1e-3,
        lossesAgree: true,
        loss: 'full',
        precision: 'amp',
        against: 'TRL, chunked_nll',
      },
      {
        ratio: 2.7,
        ratioLow: 2.6,
        ratioHigh: 2.75,
        memoryRatio: 0.57,
        lossDifference: 0.03,
        lossTolerance: 1e-3,
        lossesAgree: false,
        loss: 'full',
        precision: 'amp',
        against: 'transformers, sdpa',
      },
      {
        what: 'generate',
        ratio: 0.9,
        ratioLow: 0.85,
        ratioHigh: 0.97,
        equalIds: 0.998,
        precision: 'fp32',
        against: 'transformers.generate',
      },
    ],
    {
      bars: [
        { what: 'full-sequence training against the best TRL', bar: 2.5, value: ratio, unit: 'x', met: ratio >= 2.5 },
        { what: 'memory against the best TRL', bar: 0.6, value: 0.63, unit: 'x', met: false },
      ],
      settings: { skipped: ['loss completion, bf16: the time was over'] },
      ...more,
    },
  );
}
