import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { guardChild } from '../support/child-guard.mjs';
import type { ProcessEnd } from '../support/pooler-fixture.ts';
import { serverIdentity } from '../support/postgres-binaries.mjs';
import { waitFor, withDeadline } from '../support/wait-for.ts';

const CLI_FILE = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const STOP_TIMEOUT_MS = 10_000;

/** The two that are compared. */
export type PoolerName = 'pgbouncer' | 'maitred';

/** The version of PgBouncer that is installed, `1.18.0` for one; `null` for none. */
export function installedPgbouncer(): string | null {
  const result = spawnSync('pgbouncer', ['-V'], { encoding: 'utf8' });
  return result.error === undefined ? (/^PgBouncer (\S+)/.exec(result.stdout)?.[1] ?? null) : null;
}

/** Who runs both: PgBouncer refuses to be root. */
export function poolerIdentity(): { uid: number; gid: number } | null {
  return serverIdentity();
}

/** The command line of a pooler. */
export function commandOf(name: PoolerName): readonly [file: string, ...args: string[]] {
  return name === 'pgbouncer' ? ['pgbouncer'] : [process.execPath, CLI_FILE];
}

/** Runs a pooler to its end, for its options and refusals. */
export function runToEnd(name: PoolerName, args: readonly string[], cwd: string): CommandEnd {
  const [file, ...first] = commandOf(name);
  const { status, stdout, stderr } = spawnSync(file, [...first, ...args], {
    ...poolerIdentity(),
    cwd,
    env: environment(),
    encoding: 'utf8',
    timeout: STOP_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  return { status, stdout, stderr };
}

/** How a command ended and what it wrote. */
export interface CommandEnd {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Metrics are maitred's own: poolers of several tests would want the same port. */
function environment(): NodeJS.ProcessEnv {
  return { ...process.env, MAITRED_METRICS_LISTEN_ADDR: '' };
}

/** A pooler of either kind that runs on a configuration file. */
export class PoolerProcess {
  /** Standard error and standard output, line by line. */
  readonly lines: string[] = [];
  readonly exited: Promise<ProcessEnd>;
  readonly #child: ChildProcess;
  #end: ProcessEnd | null = null;

  constructor(name: PoolerName, args: readonly string[], cwd: string) {
    const [file, ...first] = commandOf(name);
    this.#child = spawn(file, [...first, ...args], {
      ...poolerIdentity(),
      cwd,
      env: environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.exited = this.#watch();
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** How it ended; `null` while it runs. */
  get end(): ProcessEnd | null {
    return this.#end;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits until it serves clients. @throws Error with its log when it ends instead. */
  async waitUntilUp(): Promise<void> {
    await waitFor(
      'the pooler to come up',
      () => this.#end !== null || this.lines.some((line) => line.includes('LOG process up')),
    );
    if (this.#end !== null) {
      throw new Error(`the pooler ended at its start:\n${this.lines.join('\n')}`);
    }
  }

  /** Ends it however it can. */
  async stop(): Promise<void> {
    this.signal('SIGQUIT');
    try {
      await withDeadline('the end of the pooler', this.exited, STOP_TIMEOUT_MS);
    } finally {
      this.signal('SIGKILL');
      await this.exited;
    }
  }

  #watch(): Promise<ProcessEnd> {
    const { pid, stdout, stderr } = this.#child;
    const dismissGuard = pid === undefined ? () => {} : guardChild(pid, 'QUIT', '');
    for (const stream of [stdout, stderr]) {
      if (stream !== null) {
        createInterface({ input: stream }).on('line', (line) => this.lines.push(line));
      }
    }
    return new Promise((resolve) => {
      const onEnd = (code: number | null, signal: NodeJS.Signals | null): void => {
        dismissGuard();
        this.#end = { code, signal };
        resolve(this.#end);
      };
      this.#child.once('close', onEnd);
      this.#child.once('error', (error) => {
        this.lines.push(String(error));
        onEnd(null, null);
      });
    });
  }
}
