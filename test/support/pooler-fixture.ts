import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { guardChild } from './child-guard.mjs';
import type { TextRow } from './query-outcome.ts';
import { RawClient } from './raw-client.ts';
import type { ConnectTarget, LoginOptions } from './raw-client.ts';
import { waitFor, withDeadline } from './wait-for.ts';

const CLI_FILE = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const CONSOLE_DATABASE = 'pgbouncer';
const START_TIMEOUT_MS = 15_000;
const STOP_TIMEOUT_MS = 10_000;

/** How long the output of a process that has ended may take to arrive. */
const OUTPUT_GRACE_MS = 2_000;

/** The level number and the level name of a line that ends the process. */
const FATAL_LEVELS: readonly unknown[] = [60, 'fatal', 'FATAL'];

type Settings = Readonly<Record<string, unknown>>;

/** The YAML file as an object, sections and keys as in the file. */
export interface PoolerConfig {
  readonly maitred?: Settings;
  readonly databases?: Readonly<Record<string, Settings | string>>;
  readonly users?: Readonly<Record<string, Settings>>;
  readonly [section: string]: unknown;
}

/** What {@link startPooler} starts. */
export interface PoolerOptions {
  /**
   * An object gets the defaults of the fixture: a free port of 127.0.0.1, a unix socket in the
   * fixture's directory, trust, console user `postgres`, no metrics. Text is written as it is. A function gets
   * the fixture's directory, for paths to `files`.
   */
  readonly config: PoolerConfig | string | ((directory: string) => PoolerConfig | string);
  /** Lines of the users file, by name; stored as given. `postgres` with no password by default. */
  readonly users?: Readonly<Record<string, string>>;
  /** More files in the fixture's directory, by name: certificates, HBA, a pgbouncer.ini. */
  readonly files?: Readonly<Record<string, string>>;
  /** Name of the configuration file; `maitred.yaml` by default. */
  readonly configName?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Arguments of the command after the configuration file. */
  readonly args?: readonly string[];
  /** Who asks the console; `postgres` without a password by default. */
  readonly consoleUser?: string;
  readonly consolePassword?: string;
}

/** One line of the log, parsed. Text that is not JSON is kept under `raw`. */
export interface LogLine {
  readonly event?: string;
  readonly level?: unknown;
  readonly raw?: string;
  readonly [field: string]: unknown;
}

/** How a process ended. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A maitred process with its own directory, configuration and log. */
export class PoolerFixture {
  /** Lines of standard output and standard error, in order of arrival. */
  readonly logs: LogLine[] = [];
  /** Holds the configuration, the users file and the socket. */
  readonly directory: string;
  readonly socketDir: string;
  readonly host = '127.0.0.1';
  /** Resolves when the process has ended and its whole output is in `logs`. */
  readonly exited: Promise<ProcessEnd>;
  readonly #options: PoolerOptions;
  readonly #child: ChildProcess;
  #end: ProcessEnd | null = null;
  #isStopping = false;
  #port = 0;

  private constructor(options: PoolerOptions) {
    this.#options = options;
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mtr-'));
    this.socketDir = this.directory;
    this.writeFile('userlist.txt', usersText(options.users ?? { postgres: '' }));
    for (const [name, content] of Object.entries(options.files ?? {})) {
      this.writeFile(name, content);
    }
    this.rewriteConfig(options.config);
    this.#child = this.#spawn();
    this.exited = this.#watch();
  }

  /** Starts the process and waits until it accepts connections. */
  static async start(options: PoolerOptions): Promise<PoolerFixture> {
    const pooler = PoolerFixture.spawn(options);
    try {
      await pooler.waitUntilUp();
      return pooler;
    } catch (error) {
      await pooler.kill();
      throw error;
    }
  }

  /** Starts the process and waits for nothing: for configurations that must be refused. */
  static spawn(options: PoolerOptions): PoolerFixture {
    return new PoolerFixture(options);
  }

  /** Path of the configuration file. */
  get configFile(): string {
    return path.join(this.directory, this.#options.configName ?? 'maitred.yaml');
  }

  /** The TCP port it listens on. */
  get port(): number {
    return this.#port;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The TCP address as {@link RawClient} takes it. */
  get target(): ConnectTarget {
    return { host: this.host, port: this.port };
  }

  /** The unix socket as {@link RawClient} takes it. */
  get socketTarget(): ConnectTarget {
    return { socketDir: this.socketDir, port: this.port };
  }

  /** Connection URL through the pooler. */
  url(database: string, user: string, password?: string): string {
    const secret = password === undefined ? '' : `:${encodeURIComponent(password)}`;
    const account = `${encodeURIComponent(user)}${secret}`;
    return `postgres://${account}@${this.host}:${String(this.port)}/${encodeURIComponent(database)}`;
  }

  /** Logs in through the pooler. */
  login(options: LoginOptions): Promise<RawClient> {
    return RawClient.login(this.target, options);
  }

  /** Runs one console command on a connection of its own. */
  async console(sql: string): Promise<TextRow[]> {
    const { consoleUser: user = 'postgres', consolePassword: password } = this.#options;
    const client = await this.login({
      user,
      database: CONSOLE_DATABASE,
      ...(password === undefined ? {} : { password }),
    });
    try {
      return await client.query(sql);
    } finally {
      await client.close();
    }
  }

  /** Waits for a log line, one that is there already included. */
  waitForLog(
    what: string,
    predicate: (line: LogLine) => boolean,
    timeoutMs?: number,
  ): Promise<LogLine> {
    return waitFor(
      `log line: ${what}`,
      () => this.logs.find(predicate),
      timeoutMs === undefined ? {} : { timeoutMs },
    );
  }

  /** Waits for a log line by its event name. */
  waitForEvent(event: string, timeoutMs?: number): Promise<LogLine> {
    return this.waitForLog(event, (line) => line.event === event, timeoutMs);
  }

  /** Writes a file into the fixture's directory, readable by its owner alone. @returns Its path. */
  writeFile(name: string, content: string): string {
    const file = path.join(this.directory, name);
    fs.writeFileSync(file, content, { mode: 0o600 });
    return file;
  }

  /** Writes the configuration anew. It takes effect at RELOAD or SIGHUP. */
  rewriteConfig(config: PoolerOptions['config']): void {
    const value = typeof config === 'function' ? config(this.directory) : config;
    this.writeFile(
      path.basename(this.configFile),
      typeof value === 'string' ? value : this.#withDefaults(value),
    );
  }

  /** Sends a signal to the process. */
  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /**
   * Waits until no client is connected and no server connection is in use, the console apart.
   * Clients that have just gone may still be in the lists, so it looks more than once.
   */
  async expectBaseline(timeoutMs = 5_000): Promise<void> {
    let busy: TextRow[] = [];
    const isIdle = async (): Promise<boolean> => {
      const pools = await this.console('SHOW POOLS');
      busy = pools.filter((pool) => pool['database'] !== CONSOLE_DATABASE && isBusy(pool));
      return busy.length === 0;
    };
    try {
      await waitFor('idle pools', isIdle, { timeoutMs, intervalMs: 50 });
    } catch (cause) {
      throw new Error(`pools are not back at their baseline: ${JSON.stringify(busy)}`, { cause });
    }
  }

  /**
   * Ends the process if it still runs and removes its directory.
   *
   * @param expectedCode - Exit code to expect when the process has ended by itself.
   * @throws Error when it crashed, broke an invariant or logged a fatal line.
   */
  async stop(expectedCode = 0): Promise<void> {
    this.#isStopping = this.#end === null;
    try {
      if (this.#end === null) {
        this.signal('SIGQUIT');
      }
      const end = await withDeadline('the end of the pooler', this.exited, STOP_TIMEOUT_MS);
      this.#checkEnd(end, expectedCode);
    } finally {
      await this.kill();
    }
  }

  /**
   * Forgets the log so far, before the next test with the same process.
   *
   * @throws Error when the process broke an invariant or logged a fatal line.
   */
  forgetLogs(): void {
    this.#checkLogs(0);
    this.logs.length = 0;
  }

  /** Ends the process without ceremony and removes its directory. Checks nothing. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
    fs.rmSync(this.directory, { recursive: true, force: true });
  }

  /** Waits until the process listens and says that it is up. */
  async waitUntilUp(): Promise<void> {
    const isUp = (): boolean => {
      if (this.#end !== null) {
        return true;
      }
      this.#port = this.#listeningPort();
      return this.#port > 0 && this.logs.some(({ event }) => event === 'process_up');
    };
    try {
      await waitFor('the pooler to come up', isUp, { timeoutMs: START_TIMEOUT_MS });
    } catch (cause) {
      throw new Error(this.#report('the pooler did not come up'), { cause });
    }
    if (this.#end !== null) {
      throw new Error(this.#report('the pooler ended at start'));
    }
  }

  #listeningPort(): number {
    const line = this.logs.find(
      ({ event, port }) => event === 'listening' && typeof port === 'number' && port > 0,
    );
    return typeof line?.['port'] === 'number' ? line['port'] : 0;
  }

  #withDefaults(config: PoolerConfig): string {
    const defaults = {
      listen_addr: this.host,
      listen_port: 0,
      unix_socket_dir: this.socketDir,
      auth_type: 'trust',
      auth_file: path.join(this.directory, 'userlist.txt'),
      admin_users: 'postgres',
      // Poolers of several tests would want the same port.
      metrics_listen_addr: '',
    };
    // Every JSON text is YAML.
    return JSON.stringify({ ...config, maitred: { ...defaults, ...config.maitred } }, null, 2);
  }

  #spawn(): ChildProcess {
    const child = spawn(
      process.execPath,
      [CLI_FILE, this.configFile, ...(this.#options.args ?? [])],
      {
        cwd: this.directory,
        env: { ...process.env, ...this.#options.env },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    return child;
  }

  #watch(): Promise<ProcessEnd> {
    const { pid, stdout, stderr } = this.#child;
    const dismissGuard = pid === undefined ? () => {} : guardChild(pid, 'QUIT', this.directory);
    this.#readLines(stdout);
    this.#readLines(stderr);
    return new Promise((resolve) => {
      const onEnd = (code: number | null, signal: NodeJS.Signals | null): void => {
        dismissGuard();
        this.#end = { code, signal };
        resolve(this.#end);
      };
      this.#child.once('exit', () => {
        // A process it left behind holds the pipes open, and "close" would never come.
        setTimeout(() => {
          stdout?.destroy();
          stderr?.destroy();
        }, OUTPUT_GRACE_MS).unref();
      });
      this.#child.once('close', onEnd);
      this.#child.once('error', (error) => {
        this.logs.push({ raw: String(error) });
        onEnd(null, null);
      });
    });
  }

  #readLines(stream: Readable | null): void {
    if (stream !== null) {
      createInterface({ input: stream }).on('line', (line) => {
        this.logs.push(parseLine(line));
      });
    }
  }

  #checkEnd(end: ProcessEnd, expectedCode: number): void {
    const expected = this.#isStopping ? 0 : expectedCode;
    if (end.code !== expected) {
      const how = end.signal ?? `code ${String(end.code)}`;
      throw new Error(this.#report(`the pooler ended with ${how}, expected ${String(expected)}`));
    }
    this.#checkLogs(expectedCode);
  }

  #checkLogs(expectedCode: number): void {
    const broken = this.logs.find(
      (line) =>
        line.event === 'invariant_broken' ||
        (expectedCode === 0 && FATAL_LEVELS.includes(line.level)),
    );
    if (broken !== undefined) {
      throw new Error(this.#report(`the pooler logged ${JSON.stringify(broken)}`));
    }
  }

  #report(what: string): string {
    const tail = this.logs.slice(-30).map((line) => line.raw ?? JSON.stringify(line));
    return [`${what}; the end of its log:`, ...tail].join('\n  ');
  }
}

/** Starts a pooler and waits until it accepts connections. */
export function startPooler(options: PoolerOptions): Promise<PoolerFixture> {
  return PoolerFixture.start(options);
}

function parseLine(line: string): LogLine {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as LogLine) : { raw: line };
  } catch {
    // Not JSON: the text format, or a stack trace of a crash.
    return { raw: line };
  }
}

function usersText(users: Readonly<Record<string, string>>): string {
  const quote = (text: string): string => `"${text.replaceAll('"', '""')}"`;
  return Object.entries(users)
    .map(([name, password]) => `${quote(name)} ${quote(password)}\n`)
    .join('');
}

function isBusy(pool: TextRow): boolean {
  return ['cl_active', 'cl_waiting', 'sv_active'].some((column) => Number(pool[column] ?? 0) > 0);
}

/** Runs `body` with a pooler of its own, which `body` may end. */
export async function usePooler(
  options: PoolerOptions,
  body: (pooler: PoolerFixture) => Promise<void>,
): Promise<void> {
  const pooler = await startPooler(options);
  try {
    await body(pooler);
  } finally {
    await pooler.kill();
  }
}

/** Runs `body` with a pooler of its own, which must end in good order. */
export function runPooler(
  options: PoolerOptions,
  body: (pooler: PoolerFixture) => Promise<void>,
): Promise<void> {
  return usePooler(options, async (pooler) => {
    await body(pooler);
    await pooler.stop();
  });
}

/** As {@link runPooler}; its pools must be back at their baseline in the end. */
export function runPoolerToBaseline(
  options: PoolerOptions,
  body: (pooler: PoolerFixture) => Promise<void>,
): Promise<void> {
  return runPooler(options, async (pooler) => {
    await body(pooler);
    await pooler.expectBaseline();
  });
}
