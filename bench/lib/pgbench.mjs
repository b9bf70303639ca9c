import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { makeTempDirectory, removeTempDirectory, startChild } from './lifetime.mjs';
import { percentile } from './statistics.mjs';

/** Threads of pgbench: half of the cores, the rest is for the pooler and PostgreSQL. */
const THREADS = Math.min(4, Math.max(1, Math.floor(availableParallelism() / 2)));

/**
 * @typedef {object} PgbenchLoad
 * @property {'select' | 'simple-update'} script - one of pgbench's built-in scripts
 * @property {'simple' | 'extended' | 'prepared'} protocol
 * @property {number} clients
 * @property {boolean} reconnects - whether each transaction opens a connection of its own
 */

/**
 * @typedef {object} PgbenchResult
 * @property {number} transactions
 * @property {number} tps - transactions a second, without the time of the first connecting
 * @property {number} p50Us - median latency of a transaction, µs
 * @property {number} p99Us - 99th percentile, µs
 */

/**
 * Asks pgbench for its version.
 *
 * @returns {string}
 * @throws {Error} when pgbench is not on PATH
 */
export function pgbenchVersion() {
  const result = spawnSync('pgbench', ['--version'], { encoding: 'utf8' });
  if (result.status !== 0) {
    throw new Error(
      'pgbench is not on PATH; it comes with PostgreSQL (Debian: postgresql-contrib or ' +
        'postgresql-<version>), the benchmark cannot run without it',
    );
  }
  return result.stdout.trim().replace(/^pgbench /, '');
}

/**
 * Creates and fills pgbench's tables.
 *
 * @param {import('./wire-client.mjs').Target} target - PostgreSQL itself
 * @param {number} scale - 100,000 accounts each
 * @returns {Promise<void>}
 */
export async function initializePgbench(target, scale) {
  await execute(['--initialize', '--quiet', '--scale', String(scale), ...connection(target)]);
}

/**
 * Runs a load for a time and reads pgbench's log of all transactions.
 *
 * @param {import('./wire-client.mjs').Target} target
 * @param {PgbenchLoad} load
 * @param {number} seconds
 * @returns {Promise<PgbenchResult>}
 * @throws {Error} when any client or transaction failed
 */
export async function runPgbench(target, load, seconds) {
  const directory = makeTempDirectory('pgbench');
  try {
    const args = [
      ...['--no-vacuum', '--builtin', load.script, '--protocol', load.protocol],
      ...['--client', String(load.clients), '--jobs', String(THREADS), '--time', String(seconds)],
      ...(load.reconnects ? ['--connect'] : []),
      ...['--log', '--log-prefix', path.join(directory, 'log')],
      ...connection(target),
    ];
    const output = await execute(args, target.hasTls === true);
    const latencies = readLatencies(directory);
    return {
      transactions: readNumber(output, /^number of transactions actually processed: (\d+)/m),
      tps: readNumber(output, /^tps = ([\d.]+) /m),
      p50Us: percentile(latencies, 0.5),
      p99Us: percentile(latencies, 0.99),
    };
  } finally {
    removeTempDirectory(directory);
  }
}

/** @param {import('./wire-client.mjs').Target} target */
function connection({ host, port, user, database }) {
  return ['--host', host, '--port', String(port), '--username', user, database];
}

/**
 * @param {readonly string[]} args
 * @param {boolean} hasTls
 * @returns {Promise<string>} what pgbench wrote to its standard output
 */
function execute(args, hasTls = false) {
  return new Promise((resolve, reject) => {
    const child = startChild('pgbench', args, { env: clientEnvironment(hasTls), stdio: 'pipe' });
    const output = { stdout: '', stderr: '' };
    for (const name of /** @type {const} */ (['stdout', 'stderr'])) {
      child[name]?.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
        output[name] += text;
      });
    }
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) {
        resolve(output.stdout);
      } else {
        const reason = `pgbench ended with ${String(signal ?? code)}`;
        reject(new Error(`${reason}: ${output.stderr.trim().split('\n').slice(-3).join('; ')}`));
      }
    });
  });
}

/**
 * The user's own settings for PostgreSQL clients must not change what is measured.
 *
 * @param {boolean} hasTls
 */
function clientEnvironment(hasTls) {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('PG'));
  // Without these, each connection would start with requests for encryption that all refuse.
  const modes = { PGSSLMODE: hasTls ? 'require' : 'disable', PGGSSENCMODE: 'disable' };
  return { ...Object.fromEntries(entries), ...modes };
}

/**
 * @param {string} directory
 * @returns {Float64Array} latencies of all transactions, µs, ascending
 * @source PostgreSQL, "pgbench: Per-Transaction Logging"
 */
function readLatencies(directory) {
  /** @type {number[]} */
  const latencies = [];
  for (const name of readdirSync(directory)) {
    for (const line of readFileSync(path.join(directory, name), 'latin1').split('\n')) {
      if (line === '') {
        continue;
      }
      const latencyUs = Number(line.split(' ', 3)[2]);
      if (Number.isNaN(latencyUs)) {
        throw new Error(`pgbench: a transaction failed: ${line}`);
      }
      latencies.push(latencyUs);
    }
  }
  return Float64Array.from(latencies).sort();
}

/**
 * @param {string} output
 * @param {RegExp} pattern - with one group
 */
function readNumber(output, pattern) {
  const text = pattern.exec(output)?.[1];
  if (text === undefined) {
    throw new Error(`pgbench's summary lacks ${String(pattern)}:\n${output}`);
  }
  return Number(text);
}
