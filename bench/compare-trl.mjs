// gemmatune against TRL on the same rows, order, batches and weights, in one run: the two take turns, and the ratio of medians is what
// counts on a noisy machine. Writes bench/results/<name>.json.
//   node bench/compare-trl.mjs --rows rows.jsonl --model folder --python python3 [--rounds 2 --steps 3 --dtype amp|fp32 ...]
// amp: float32 master weights, bfloat16 products, on both sides. TRL's own options are tried by --trl-checkpointing and --trl-loss.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: a } = parseArgs({
  options: {
    rows: { type: 'string' },
    model: { type: 'string' },
    python: { type: 'string', default: 'python3' },
    rounds: { type: 'string', default: '2' },
    steps: { type: 'string', default: '3' },
    batch: { type: 'string', default: '2' },
    accumulation: { type: 'string', default: '8' },
    dtype: { type: 'string', default: 'amp' },
    'trl-checkpointing': { type: 'string', default: 'on' },
    'trl-loss': { type: 'string', default: 'chunked_nll' },
    name: { type: 'string', default: 'trl' },
  },
});
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const common = [
  '--rows',
  a.rows,
  '--model',
  a.model,
  '--steps',
  a.steps,
  '--batch',
  a.batch,
  '--accumulation',
  a.accumulation,
];

function measure(command, args) {
  const { stdout, stderr, status } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1e8 });
  const line = stdout.split('\n').findLast((l) => l.startsWith('{'));
  if (status !== 0 || !line) throw new Error(`${command} ${args.join(' ')} failed:\n${stderr}`);
  return JSON.parse(line);
}

const sides = {
  gemmatune: () =>
    measure(process.execPath, [here('train.mjs'), ...common, '--dtype', a.dtype === 'fp32' ? 'float32' : 'bfloat16']),
  trl: () =>
    measure(a.python, [
      here('peers/trl.py'),
      ...common,
      '--dtype',
      a.dtype,
      '--loss-type',
      a['trl-loss'],
      '--gradient-checkpointing',
      a['trl-checkpointing'],
    ]),
};
const runs = { gemmatune: [], trl: [] };
for (let round = 0; round < Number(a.rounds); round++)
  for (const [side, run] of Object.entries(sides)) {
    const result = run();
    runs[side].push(result);
    console.error(
      `round ${round + 1} ${side}: ${result.tokensPerSecond.toFixed(1)} tokens/s, peak ${(result.peakResidentBytes / 2 ** 30).toFixed(2)} GiB, losses ${result.losses.map((l) => l.toFixed(4))}`,
    );
  }

const median = (values) => values.sort((x, y) => x - y)[Math.floor(values.length / 2)];
const summary = (side) => ({
  tokensPerSecond: median(runs[side].map((r) => r.tokensPerSecond)),
  peakResidentBytes: Math.max(...runs[side].map((r) => r.peakResidentBytes)),
  peakMinusBaselineBytes: Math.max(...runs[side].map((r) => r.peakMinusBaselineBytes)),
});
const ours = summary('gemmatune');
const trl = summary('trl');
const report = {
  what: 'training step at the full 270M shape',
  date: new Date().toISOString(),
  commit: execFileSync('git', ['rev-parse', 'HEAD'], { cwd: here('.'), encoding: 'utf8' }).trim(),
  machine: {
    cpu: cpus()[0].model,
    cores: cpus().length,
    memoryBytes: totalmem(),
    flags: readFileSync('/proc/cpuinfo', 'utf8')
      .match(/amx_bf16|avx512_bf16|avx512f|avx2/g)
      ?.filter((f, i, all) => all.indexOf(f) === i),
  },
  settings: { ...a, rows: undefined, model: undefined, python: undefined },
  gemmatune: ours,
  trl,
  speedRatio: ours.tokensPerSecond / trl.tokensPerSecond,
  memoryRatio: ours.peakResidentBytes / trl.peakResidentBytes,
  memoryRatioWithoutRuntimes: ours.peakMinusBaselineBytes / trl.peakMinusBaselineBytes,
  runs: Object.fromEntries(Object.entries(runs).map(([side, all]) => [side, all.map(({ settings: _, ...r }) => r)])),
};
mkdirSync(here('results'), { recursive: true });
writeFileSync(here(`results/${a.name}.json`), `${JSON.stringify(report, null, 1)}\n`);
console.log(
  JSON.stringify({
    speedRatio: report.speedRatio,
    memoryRatio: report.memoryRatio,
    memoryRatioWithoutRuntimes: report.memoryRatioWithoutRuntimes,
  }),
);
