// A Slurm of two nodes on this machine, for tests: munged, slurmctld and two slurmd in a process namespace of their own. The namespace ends with this
// process, and so does every process of every job, whatever happens; their process ids mean nothing outside. The network is the machine's, on free ports.
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const PROGRAMS = ['munged', 'slurmctld', 'slurmd', 'srun', 'sbatch', 'scontrol', 'scancel', 'sinfo', 'unshare'];
const PATH = `${process.env.PATH}${delimiter}/usr/sbin${delimiter}/sbin`;
const NAMESPACE = ['--pid', '--mount', '--fork', '--kill-child', '--mount-proc'];
/** States in which a job stays. */
const FINAL = ['COMPLETED', 'FAILED', 'CANCELLED', 'TIMEOUT', 'NODE_FAIL', 'OUT_OF_MEMORY', 'BOOT_FAIL', 'DEADLINE'];

/** Why there can be no Slurm here, or null. */
export function slurmIsMissing(): string | null {
  const absent = PROGRAMS.filter((name) => !PATH.split(delimiter).some((folder) => existsSync(join(folder, name))));
  if (absent.length > 0) return `${absent.join(', ')} not found (Debian: slurm-wlm, munge, util-linux)`;
  if (process.getuid?.() !== 0) return 'root is needed';
  if (spawnSync('unshare', [...NAMESPACE, 'true']).status !== 0)
    return 'this system lets nobody make a process namespace';
  return null;
}

export interface Ended {
  /** Exit status; null where a signal ended it. */
  status: number | null;
  stdout: string;
  stderr: string;
}

/** A job, or a task of an array, as `scontrol show job` has it. */
export interface Job {
  id: string;
  /** Index in its array; null where it has none. */
  task: string | null;
  /** COMPLETED, FAILED, … */
  state: string;
  exitStatus: number;
  /** Signal that ended its batch script, 0 for none. */
  signal: number;
  /** How often it was requeued. */
  restarts: number;
}

export class Slurm {
  /** Where configuration and logs are; jobs may write here. Gone after stop(). */
  readonly folder = mkdtempSync(join(tmpdir(), 'slurm-'));
  private daemons!: ChildProcess;

  private constructor() {}

  /** Returns when both nodes, n1 and n2 with 8 CPUs and 2 GPUs each, are idle. Throws with the ends of the logs where that takes over a minute. */
  static async start(): Promise<Slurm> {
    const slurm = new Slurm();
    try {
      await slurm.startDaemons();
      await slurm.until('both nodes are idle', 60, async () => {
        const { stdout } = await slurm.run(['sinfo', '--noheader', '--Node', '--format=%N %T']);
        return stdout === 'n1 idle\nn2 idle\n';
      });
      return slurm;
    } catch (error) {
      const logs = slurm.logs();
      await slurm.stop();
      throw new Error(`${(error as Error).message}\n${logs}`);
    }
  }

  private async startDaemons(): Promise<void> {
    const { folder } = this;
    chmodSync(folder, 0o755); // munged wants its socket to be reachable by all
    for (const name of ['munge', 'state', 'n1', 'n2']) mkdirSync(join(folder, name), { mode: 0o755 });
    writeFileSync(join(folder, 'munge.key'), randomBytes(128), { mode: 0o400 });
    // GPUs are counted and handed out, not used: any device may stand for one (/dev/null and /dev/zero by other names).
    writeFileSync(join(folder, 'gres.conf'), `Name=gpu Flags=nvidia_gpu_env File=${folder}/gpu[0-1]\n`);
    for (const [name, minor] of Object.entries({ gpu0: '3', gpu1: '5' }))
      spawnSync('mknod', [join(folder, name), 'c', '1', minor]);
    writeFileSync(this.configuration, configuration(folder, await freePorts(3)));
    // The shell is the namespace's first process: it lives until its standard input is closed, and the kernel kills the rest when it ends.
    const script = `
      munged --foreground --num-threads=2 --key-file=munge.key --socket=munge/socket --pid-file=munge/pid --seed-file=munge/seed >munge/log 2>&1 &
      while [ ! -S munge/socket ]; do sleep 0.05; done
      slurmctld -D -f slurm.conf >/dev/null 2>&1 &
      for node in n1 n2; do slurmd -D -N $node -f slurm.conf >/dev/null 2>&1 & done
      read -r end`.replaceAll(/(=|-f )(munge|slurm\.conf)/g, (_, before, name) => `${before}${folder}/${name}`);
    this.daemons = spawn('unshare', [...NAMESPACE, 'sh', '-c', script], {
      cwd: folder,
      env: { PATH },
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    await once(this.daemons, 'spawn');
  }

  private get configuration() {
    return join(this.folder, 'slurm.conf');
  }

  /** Starts a client: `srun`, `scancel`, … in the Slurm's folder, with this process's environment but for SLURM_*. */
  spawn([program, ...args]: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    return spawn(program as string, args, { cwd: this.folder, env: this.environment(env) });
  }

  /** Runs a client to its end. It is killed after `seconds`. */
  async run([program, ...args]: readonly string[], { env = {}, seconds = 60 } = {}): Promise<Ended> {
    return new Promise((resolve) => {
      const options = { cwd: this.folder, env: this.environment(env), timeout: seconds * 1000 };
      const child = execFile(program as string, args, options, (_, stdout, stderr) =>
        resolve({ status: child.exitCode, stdout, stderr }),
      );
    });
  }

  private environment(more: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
    const own = Object.entries(process.env).filter(([name]) => !/^S(LURM|BATCH)_/.test(name));
    return { ...Object.fromEntries(own), PATH, SLURM_CONF: this.configuration, ...more };
  }

  /** Submits a batch script. @returns the job's id */
  async submit(script: string, options: readonly string[] = []): Promise<string> {
    const file = join(this.folder, `${randomBytes(4).toString('hex')}.sbatch`);
    writeFileSync(file, script);
    const { status, stdout, stderr } = await this.run(['sbatch', '--parsable', ...options, file]);
    if (status !== 0) throw new Error(`sbatch ended with ${status}: ${stderr}`);
    return stdout.trim();
  }

  /** A job as it is now; of an array every task. */
  async jobs(id: string): Promise<Job[]> {
    const { stdout } = await this.run(['scontrol', '--oneliner', 'show', 'job', id]);
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const field = (name: string) => line.match(new RegExp(`(?:^| )${name}=(\\S*)`))?.[1] ?? '';
        const [exitStatus, signal] = field('ExitCode').split(':').map(Number) as [number, number];
        const task = field('ArrayTaskId') || null;
        return {
          id: field('JobId'),
          task,
          state: field('JobState'),
          exitStatus,
          signal,
          restarts: Number(field('Restarts')),
        };
      });
  }

  /** Waits until a job, or every task of an array, has ended. */
  async ended(id: string, seconds = 60): Promise<Job[]> {
    let jobs: Job[] = [];
    await this.until(`job ${id} has ended`, seconds, async () => {
      jobs = await this.jobs(id);
      return jobs.length > 0 && jobs.every(({ state }) => FINAL.includes(state));
    });
    return jobs;
  }

  /** Looks ten times a second until `done`. */
  async until(what: string, seconds: number, done: () => Promise<boolean> | boolean): Promise<void> {
    const end = Date.now() + seconds * 1000;
    while (!(await done())) {
      if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s`);
      await sleep(100);
    }
  }

  /** Text of a file in the Slurm's folder; '' while there is none. */
  read(name: string): string {
    const file = join(this.folder, name);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** The last lines of every daemon's log. */
  logs(): string {
    return ['munge/log', 'slurmctld.log', 'slurmd.n1.log', 'slurmd.n2.log']
      .map((name) => `${name}:\n${this.read(name).split('\n').slice(-20).join('\n')}`)
      .join('\n');
  }

  /** Ends every daemon and every job, and removes the folder. */
  async stop(): Promise<void> {
    if (this.daemons && this.daemons.exitCode === null && this.daemons.signalCode === null) {
      const ended = once(this.daemons, 'exit');
      this.daemons.stdin?.end();
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function configuration(folder: string, [controller, n1, n2]: readonly number[]): string {
  return `
ClusterName=test
SlurmctldHost=${hostname()}(127.0.0.1)
SlurmctldPort=${controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job waits until its old credential has expired: 120 s by default.
AuthInfo=socket=${folder}/munge/socket,cred_expire=5
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/%n
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd.%n.pid
SlurmctldLogFile=${folder}/slurmctld.log
SlurmdLogFile=${folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
# By default it looks at what waits every half minute.
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
# The nodes have as many CPUs as is said here, not as the machine has.
SlurmdParameters=config_overrides
GresTypes=gpu
ReturnToService=2
KillWait=5
NodeName=n1 NodeHostname=${hostname()} NodeAddr=127.0.0.1 Port=${n1} CPUs=8 RealMemory=500 Gres=gpu:2
NodeName=n2 NodeHostname=${hostname()} NodeAddr=127.0.0.1 Port=${n2} CPUs=8 RealMemory=500 Gres=gpu:2
PartitionName=all Nodes=ALL Default=YES MaxTime=60 State=UP
`;
}

/** Ports that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  for (let i = 0; i < count; i++) servers.push(createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}
