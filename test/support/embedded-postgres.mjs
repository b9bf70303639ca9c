import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { guardChild } from './child-guard.mjs';
import { preparePostgresBinaries, serverIdentity } from './postgres-binaries.mjs';

/**
 * A PostgreSQL server of its own, in a temporary directory: for the tests, the demo and the
 * benchmarks. A plain module with types beside it, since scripts run without a TypeScript loader.
 */

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 15_000;
const POLL_MS = 20;

/** Tried again on another port when somebody takes the chosen one in between. */
const START_ATTEMPTS = 3;

/** Linux allows 107 bytes for a socket path: keep the directory name short. */
const DIRECTORY_PREFIX = 'mtpg-';

/** @type {Record<import('./embedded-postgres.mjs').ShutdownMode, NodeJS.Signals>} */
const SHUTDOWN_SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' };

/**
 * Speed over durability: the data lives as long as the test.
 *
 * @type {Readonly<Record<string, string>>}
 */
const BASE_SETTINGS = {
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  max_connections: '200',
  shared_buffers: '64MB',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
};

const TRUST_EVERYBODY = [
  'local all all trust',
  'host all all all trust',
  'local replication all trust',
  'host replication all all trust',
];

/** @param {import('./embedded-postgres.mjs').EmbeddedPostgresOptions} [options] */
export async function startEmbeddedPostgres(options = {}) {
  const server = new EmbeddedPostgres(options);
  try {
    server.createCluster();
    await server.launchOnFreePort();
  } catch (cause) {
    await server.stop('immediate');
    throw cause;
  }
  return server;
}

/** @param {readonly string[]} lines */
function hbaText(lines) {
  return `${[...lines, ...TRUST_EVERYBODY].join('\n')}\n`;
}

class EmbeddedPostgres {
  host = '127.0.0.1';
  port = 0;
  user = 'postgres';
  database = 'postgres';
  socketDir;
  logFile;
  #options;
  #identity = serverIdentity();
  #native = preparePostgresBinaries(this.#identity);
  #directory;
  #dataDirectory;
  /** @type {import('node:child_process').ChildProcess | null} */
  #child = null;
  /** @type {Promise<void>} */
  #exited = Promise.resolve();
  #hasExited = true;
  #dismissGuard = () => {};

  /** @param {import('./embedded-postgres.mjs').EmbeddedPostgresOptions} options */
  constructor(options) {
    this.#options = options;
    this.#directory = fs.mkdtempSync(path.join(os.tmpdir(), DIRECTORY_PREFIX));
    this.socketDir = this.#directory;
    this.logFile = path.join(this.#directory, 'server.log');
    this.#dataDirectory = path.join(this.#directory, 'data');
    // Traversable by tests that run as another user; the data directory itself is private.
    fs.chmodSync(this.#directory, 0o755);
    if (this.#identity !== null) {
      fs.chownSync(this.#directory, this.#identity.uid, this.#identity.gid);
    }
  }

  get url() {
    return `postgres://${this.user}@${this.host}:${String(this.port)}/${this.database}`;
  }

  get pid() {
    return this.#hasExited ? null : (this.#child?.pid ?? null);
  }

  createCluster() {
    const result = spawnSync(
      path.join(this.#native, 'bin', 'initdb'),
      [
        ...['--pgdata', this.#dataDirectory, '--username', this.user],
        ...['--auth', 'trust', '--locale', 'C', '--encoding', 'UTF8', '--no-sync'],
      ],
      { ...(this.#identity ?? {}), cwd: this.#directory, encoding: 'utf8', env: serverEnv() },
    );
    if (result.status !== 0) {
      throw new Error(`initdb failed: ${result.stderr}${result.stdout}`, { cause: result.error });
    }
    this.#writeHba(this.#options.hba ?? []);
  }

  /** Writes pg_hba.conf; `reload` makes the server read it. */
  #writeHba(lines) {
    const file = path.join(this.#dataDirectory, 'pg_hba.conf');
    fs.writeFileSync(file, hbaText(lines));
  }

  async launchOnFreePort() {
    for (let attempt = 1; ; attempt += 1) {
      this.port = this.#options.port ?? (await freePort());
      try {
        await this.launch();
        return;
      } catch (error) {
        const isTaken = String(error).includes('Address already in use');
        if (!isTaken || this.#options.port !== undefined || attempt === START_ATTEMPTS) {
          throw error;
        }
        await this.halt('immediate');
      }
    }
  }

  async launch() {
    if (!this.#hasExited) {
      return;
    }
    const log = fs.openSync(this.logFile, 'w');
    const child = spawn(path.join(this.#native, 'bin', 'postgres'), await this.#arguments(), {
      ...(this.#identity ?? {}),
      cwd: this.#directory,
      env: serverEnv(),
      stdio: ['ignore', log, log],
    });
    fs.closeSync(log);
    this.#child = child;
    this.#hasExited = false;
    /** @type {Error | null} */
    let spawnError = null;
    this.#exited = new Promise((resolve) => {
      const onEnd = () => {
        this.#hasExited = true;
        this.#dismissGuard();
        resolve();
      };
      child.once('exit', onEnd);
      child.once('error', (error) => {
        spawnError = error;
        onEnd();
      });
    });
    if (child.pid !== undefined) {
      this.#dismissGuard = guardChild(child.pid, 'QUIT', this.#directory);
    }
    await this.#untilReady(() => spawnError);
  }

  async #arguments() {
    const hosts = (await hasIpv6Loopback()) ? '127.0.0.1,::1' : '127.0.0.1';
    const settings = {
      ...BASE_SETTINGS,
      listen_addresses: hosts,
      unix_socket_directories: this.socketDir,
      port: String(this.port),
      ...this.#options.settings,
    };
    const pairs = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    return ['-D', this.#dataDirectory, ...pairs];
  }

  /** @param {() => Error | null} spawnError */
  async #untilReady(spawnError) {
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (!this.#isReady()) {
      if (this.#hasExited || performance.now() > deadline) {
        const why = this.#hasExited ? 'ended' : `was not ready after ${START_TIMEOUT_MS} ms`;
        throw new Error(`PostgreSQL ${why}: ${this.log()}`, { cause: spawnError() ?? undefined });
      }
      await delay(POLL_MS);
    }
    // The server starts when it can listen on one of its addresses; a foreign process on another
    // would then answer our clients.
    if (this.log().includes('could not bind')) {
      throw new Error(`PostgreSQL cannot listen on all addresses: ${this.log()}`);
    }
  }

  /** Reads the eighth line of postmaster.pid, which the server keeps for pg_ctl. */
  #isReady() {
    try {
      const file = path.join(this.#dataDirectory, 'postmaster.pid');
      const lines = fs.readFileSync(file, 'utf8').split('\n');
      return Number(lines[0]) === this.#child?.pid && lines[7]?.trim() === 'ready';
    } catch {
      // Not written yet.
      return false;
    }
  }

  log() {
    return fs.existsSync(this.logFile) ? fs.readFileSync(this.logFile, 'utf8') : '';
  }

  reload(hba) {
    if (hba !== undefined) {
      this.#writeHba(hba);
    }
    this.#child?.kill('SIGHUP');
  }

  /** @param {import('./embedded-postgres.mjs').ShutdownMode} [mode] */
  async halt(mode = 'fast') {
    if (this.#hasExited) {
      return;
    }
    this.#child?.kill(SHUTDOWN_SIGNALS[mode]);
    const timer = setTimeout(() => this.#child?.kill('SIGQUIT'), STOP_TIMEOUT_MS);
    const lastTimer = setTimeout(() => this.#child?.kill('SIGKILL'), 2 * STOP_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(timer);
    clearTimeout(lastTimer);
  }

  /** @param {import('./embedded-postgres.mjs').ShutdownMode} [mode] */
  async restart(mode = 'fast') {
    await this.halt(mode);
    await this.launch();
  }

  /** @param {import('./embedded-postgres.mjs').ShutdownMode} [mode] */
  async stop(mode = 'fast') {
    await this.halt(mode);
    fs.rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}

/** Settings of the caller's own PostgreSQL clients must not reach the server. */
function serverEnv() {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('PG'));
  return { ...Object.fromEntries(entries), LC_ALL: 'C', LANGUAGE: 'C' };
}

/**
 * @param {string} [host]
 * @returns {Promise<number>} A TCP port that was free a moment ago.
 */
export async function freePort(host = '127.0.0.1') {
  const server = net.createServer();
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, host, () => resolve(undefined));
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') {
    throw new Error('a TCP listener without a port');
  }
  return address.port;
}

async function hasIpv6Loopback() {
  try {
    await freePort('::1');
    return true;
  } catch {
    // No IPv6 in this kernel or container.
    return false;
  }
}
