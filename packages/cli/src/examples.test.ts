/** What docs/ and examples/ tell people to type is what the program takes. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { COMMANDS } from './commands/index.js';
import { DIVERGED, WRONG_INPUT } from './exit-status.js';
import { COMMON_OPTIONS, kebab, parseWords } from './options.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const CLUSTERS = 'examples/clusters';
const manifests = readdirSync(join(root, CLUSTERS)).filter((name) => name.endsWith('.yaml'));

/** Options of other programs that the page names. */
const OTHERS = ['--shm-size', '--gpus-per-node', '--gpus-per-task', '--signal', '--requeue', '--ntasks-per-node'];

/** The words after `gemmatune` of every call in a shell text; a line ends where no backslash carries it on. */
function callsOf(shell: string): string[][] {
  return shell
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => !line.trim().startsWith('#'))
    .flatMap((line) => line.match(/\bgemmatune ((?:[a-z]+)(?: [^|&;>#]*)?)/)?.[1] ?? [])
    .map((call) => call.trim().split(/\s+/));
}

/** A call's words are options of its command, with values it takes. */
async function check([name, ...words]: string[]): Promise<void> {
  expect(Object.keys(COMMANDS)).toContain(name);
  const { options, ...grammar } = await COMMANDS[name as keyof typeof COMMANDS].load();
  const { positionals } = parseWords(words, { ...grammar, options: { ...options, ...COMMON_OPTIONS } });
  expect(positionals).toEqual([]);
}

describe('docs/clusters.md', () => {
  const page = read('docs/clusters.md');
  const calls = [...page.matchAll(/```sh\n(.*?)```/gs)].flatMap(([, block]) => callsOf(block!));

  it('shows calls', () => expect(calls.length).toBeGreaterThan(4));
  it.each(calls.map((call) => [call.join(' '), call]))('%s', (_, call) => check(call as string[]));

  it('names no option that does not exist', async () => {
    const { options } = await COMMANDS.finetune.load();
    const known = Object.keys(options).map((name) => `--${kebab(name)}`);
    const named = [...page.matchAll(/`(--[a-z-]+)/g)].map(([, name]) => name!);
    expect(named.filter((name) => !known.includes(name) && !OTHERS.includes(name))).toEqual([]);
  });

  it('names files that exist', () => {
    for (const [, path] of page.matchAll(/`((?:examples|docs)\/[\w./-]+)`/g)) expect(read(path!)).not.toBe('');
  });
});

describe('examples/clusters', () => {
  it('slurm.sbatch calls the program', async () => {
    const calls = callsOf(read(`${CLUSTERS}/slurm.sbatch`));
    expect(calls).toHaveLength(1);
    await check(calls[0]!);
  });

  it.each(manifests)('%s has documents of known kinds, which call the program', async (name) => {
    const documents = parseAllDocuments(read(`${CLUSTERS}/${name}`)).map((document) => {
      expect(document.errors).toEqual([]);
      return document.toJS();
    });
    for (const { apiVersion, kind, metadata } of documents) {
      expect(['TrainJob', 'TrainingRuntime', 'JobSet', 'Job']).toContain(kind);
      const versions = { TrainJob: 'trainer.kubeflow.org/v1alpha1', TrainingRuntime: 'trainer.kubeflow.org/v1alpha1' };
      const others = { JobSet: 'jobset.x-k8s.io/v1alpha2', Job: 'batch/v1' };
      expect(apiVersion).toBe({ ...versions, ...others }[kind as 'Job']);
      expect(metadata.name).toMatch(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
    }
    const commands = [...walk(documents)].filter(([key]) => key === 'command').map(([, value]) => value as string[]);
    expect(commands.length).toBeGreaterThan(0);
    for (const [program, ...words] of commands) {
      expect(program).toBe('gemmatune');
      await check(words);
    }
  });

  it('jobset.yaml: as many ranks as pods, and the address of the first one', () => {
    const { metadata, spec } = parseAllDocuments(read(`${CLUSTERS}/jobset.yaml`))[0]!.toJS();
    const [{ name, template }] = spec.replicatedJobs;
    const { completions, parallelism } = template.spec;
    const { command } = template.spec.template.spec.containers[0];
    expect(parallelism).toBe(completions);
    expect(command).toContain(`--world-size=${completions}`);
    expect(command).toContain(`--address=tcp:${metadata.name}-${name}-0-0.${metadata.name}:29500`);
  });

  it('trainjob.yaml: a rank a GPU, in the runtime that it brings', () => {
    const [runtime, job] = parseAllDocuments(read(`${CLUSTERS}/trainjob.yaml`)).map((document) => document.toJS());
    expect(job.spec.runtimeRef).toMatchObject({ kind: runtime.kind, name: runtime.metadata.name });
    expect(job.spec.trainer.numProcPerNode).toBe(job.spec.trainer.resourcesPerNode.limits['nvidia.com/gpu']);
  });
});

describe('examples/sweeps', () => {
  it.each(['slurm-array.sbatch', 'indexed-job.yaml'])('%s calls the program', async (name) => {
    const [call, ...others] = callsOf(read(`examples/sweeps/${name}`));
    expect(others).toEqual([]);
    await check(call!);
    for (const option of ['--offline', '--log-file', '--output-dir']) expect(call).toContain(option);
  });

  it('indexed-job.yaml gives no turn to what would fail again, nor takes one for a pod that is moved', () => {
    const { apiVersion, kind, spec } = parseAllDocuments(read('examples/sweeps/indexed-job.yaml'))[0]!.toJS();
    expect([apiVersion, kind, spec.completionMode]).toEqual(['batch/v1', 'Job', 'Indexed']);
    const [again, moved] = spec.podFailurePolicy.rules;
    expect(again).toMatchObject({ action: 'FailIndex', onExitCodes: { values: [WRONG_INPUT, DIVERGED] } });
    expect(moved).toEqual({ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] });
    expect(spec.completions).toBe(read('examples/sweeps/trials.jsonl').trim().split('\n').length);
  });

  it('trials.jsonl holds options', async () => {
    const { options } = await COMMANDS.finetune.load();
    for (const line of read('examples/sweeps/trials.jsonl').trim().split('\n'))
      for (const [name, value] of Object.entries(JSON.parse(line))) expect(options[name]?.accepts(value)).toBe(true);
  });

  it('ray_tune.py names options that exist', async () => {
    const { options } = await COMMANDS.finetune.load();
    const known = Object.keys({ ...options, ...COMMON_OPTIONS }).map((name) => `--${kebab(name)}`);
    const named = read('examples/sweeps/ray_tune.py').match(/--[a-z-]+|(?<=")[a-z]+-[a-z]+(?=": tune)/g)!;
    expect(named.length).toBeGreaterThan(8);
    expect(
      named.map((name) => (name.startsWith('--') ? name : `--${name}`)).filter((name) => !known.includes(name)),
    ).toEqual([]);
  });
});

/** Every key and value below a value. */
function* walk(value: unknown): Generator<[string, unknown]> {
  if (value === null || typeof value !== 'object') return;
  for (const [key, inner] of Object.entries(value)) {
    yield [key, inner];
    yield* walk(inner);
  }
}

describe('scripts/check-manifests.mjs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gemmatune-crds-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const crds = join(folder, 'crds.yaml');
  writeFileSync(
    crds,
    `kind: CustomResourceDefinition
spec:
  group: example.com
  names: { kind: Thing }
  versions:
    - name: v1
      schema:
        openAPIV3Schema:
          type: object
          required: [spec]
          properties:
            apiVersion: { type: string }
            kind: { type: string }
            metadata: { type: object }
            spec:
              type: object
              properties:
                size: { type: integer, minimum: 1 }
                free: { type: object, x-kubernetes-preserve-unknown-fields: true }
                labels: { type: object, additionalProperties: { type: string } }
`,
  );
  const judge = (spec: string) => {
    const file = join(folder, 'thing.yml');
    writeFileSync(file, `apiVersion: example.com/v1\nkind: Thing\nmetadata: { name: a }\n${spec}\n`);
    const script = join(root, 'scripts/check-manifests.mjs');
    const { status, stdout } = spawnSync(process.execPath, [script, '--crds', folder, file], { encoding: 'utf8' });
    return { status, stdout };
  };

  it('accepts what the schema has', () => {
    expect(judge('spec: { size: 2, free: { any: [1] }, labels: { a: b } }')).toMatchObject({ status: 0 });
  });
  it.each([
    ['an unknown field', 'spec: { sise: 2 }', '/spec: must NOT have additional properties (sise)'],
    ['another type', 'spec: { size: two }', '/spec/size: must be integer'],
    ['a number out of range', 'spec: { size: 0 }', '/spec/size: must be >= 1'],
    ['what is missing', 'status: {}', "must have required property 'spec'"],
  ])('refuses %s', (_, spec, message) => {
    const { status, stdout } = judge(spec);
    expect(stdout).toContain(message);
    expect(status).toBe(1);
  });
});
