import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { makeTempDirectory, startChild, stopChild } from './lifetime.mjs';
import { freePort } from './postgres.mjs';
import { WireClient } from './wire-client.mjs';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const PROBE = new URL('stall-probe.mjs', import.meta.url).href;
const RETRY_MS = 2;
const START_TIMEOUT_MS = 15_000;

/** @typedef {import('./wire-client.mjs').Target} Target */

/** A maitred of which operators' commands are measured. */
export class OperatedPooler {
  /** @type {import('node:child_process').ChildProcess} */
  #child;
  #configFile;
  #settings;
  #postgres;
  /** @type {Target} */
  target;
  /** From the start of the process to the end of the first query, ms. */
  startMs = 0;

  /**
   * @param {Target} postgres
   * @param {string} directory
   * @param {number} port
   * @param {Record<string, unknown>} settings
   */
  constructor(postgres, directory, port, settings) {
    this.#postgres = postgres;
    this.#configFile = path.join(directory, 'maitred.yaml');
    const usersFile = path.join(directory, 'users.txt');
    writeFileSync(usersFile, `"${postgres.user}" ""\n`);
    this.#settings = {
      listen_addr: '127.0.0.1',
      listen_port: port,
      unix_socket_dir: '',
      auth_type: 'trust',
      auth_file: usersFile,
      admin_users: postgres.user,
      pool_mode: 'transaction',
      log_connections: 0,
      log_disconnections: 0,
      metrics_listen_addr: '',
      ...settings,
    };
    this.target = { ...postgres, host: '127.0.0.1', port };
    this.configure({});
    this.#child = startChild(process.execPath, ['--import', PROBE, CLI, this.#configFile], {
      cwd: '/',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
  }

  /**
   * Starts one and waits for its first query.
   *
   * @param {Target} postgres
   * @param {Record<string, unknown>} [settings]
   */
  static async start(postgres, settings = {}) {
    const directory = makeTempDirectory('operated', 0o755);
    const port = await freePort();
    const startedMs = performance.now();
    const pooler = new OperatedPooler(postgres, directory, port, settings);
    await pooler.#firstQuery();
    pooler.startMs = performance.now() - startedMs;
    return pooler;
  }

  get pid() {
    return this.#child.pid ?? 0;
  }

  /** Writes the configuration anew. @param {Record<string, unknown>} changes */
  configure(changes) {
    const { host, port, database } = this.#postgres;
    const config = {
      maitred: { ...this.#settings, ...changes },
      databases: { [database]: { host, port, dbname: database } },
    };
    // Every JSON text is YAML.
    writeFileSync(this.#configFile, JSON.stringify(config));
  }

  /** Opens a console. */
  console() {
    return WireClient.connect({ ...this.target, database: 'pgbouncer' });
  }

  /** Begins a new measurement of {@link longestStallMs}. */
  async resetStall() {
    await this.#ask('reset');
  }

  /** The longest time that the event loop was blocked, ms. @returns {Promise<number>} */
  longestStallMs() {
    return this.#ask('read');
  }

  async stop() {
    await stopChild(this.#child);
  }

  /** @param {string} question */
  async #ask(question) {
    const answer = once(this.#child, 'message');
    this.#child.send(question);
    const [{ maxMs }] = await answer;
    return maxMs;
  }

  async #firstQuery() {
    const deadline = performance.now() + START_TIMEOUT_MS;
    for (;;) {
      try {
        const client = await WireClient.connect(this.target);
        await client.query('SELECT 1');
        client.close();
        return;
      } catch (error) {
        if (this.#child.exitCode !== null || performance.now() > deadline) {
          throw new Error('maitred did not start', { cause: error });
        }
        await new Promise((resolve) => {
          setTimeout(resolve, RETRY_MS);
        });
      }
    }
  }
}
