/**
 * Measures what operators do: starting, SHOW with ten thousand clients, RELOAD, PAUSE and RESUME
 * under load. Prints each number with its bound; ends with 1 when one is missed.
 *
 *   npm run bench:operations -- [--quick]
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { raiseFileLimit } from './lib/file-limit.mjs';
import { runGuarded } from './lib/lifetime.mjs';
import { OperatedPooler } from './lib/operated-pooler.mjs';
import { runPgbench } from './lib/pgbench.mjs';
import { startPostgres } from './lib/postgres.mjs';
import { readRssKb } from './lib/process-stats.mjs';
import { WireClient } from './lib/wire-client.mjs';

/** @typedef {import('./lib/wire-client.mjs').Target} Target */

const isQuick = process.argv.includes('--quick');
const CLIENTS = 10_000;
const SAMPLES = isQuick ? 3 : 10;
const LOAD_SECONDS = isQuick ? 5 : 60;
const LOAD = /** @type {const} */ ({
  script: 'select',
  protocol: 'simple',
  clients: 16,
  reconnects: false,
});

const START_MAX_MS = 500;
const IDLE_MAX_MB = 80;
const SHOW_MAX_MS = 200;
const STALL_MAX_MS = 20;

const QUERIES = [
  'SHOW CLIENTS',
  'SHOW SOCKETS',
  'SHOW SERVERS',
  'SHOW POOLS',
  'SHOW DATABASES',
  'SHOW USERS',
  'SHOW LISTS',
  'SHOW MEM',
  'SHOW STATS',
  'SHOW TOTALS',
  'SHOW CONFIG',
  'SHOW WAITS',
  'SHOW ACTIVE_SOCKETS',
  "SHOW CLIENTS WHERE state = 'waiting' ORDER BY wait DESC LIMIT 10",
  'SHOW CLIENTS ORDER BY connect_time',
  'SELECT count(*) FROM pgbouncer.clients',
];

await runGuarded(main);

async function main() {
  if (raiseFileLimit(2 * CLIENTS + 1000) < CLIENTS + 200) {
    throw new Error(`${String(CLIENTS)} clients need more open files than are allowed`);
  }
  const { target } = await startPostgres(100);
  await measureStart(target);
  await measureShow(target);
  await measureReload(target);
  await measurePause(target);
}

/** @param {Target} postgres */
async function measureStart(postgres) {
  const times = [];
  for (let i = 0; i < SAMPLES; i++) {
    const pooler = await OperatedPooler.start(postgres);
    times.push(pooler.startMs);
    if (i === 0) {
      await delay(2_000);
      report('idle process', readRssKb(pooler.pid) / 1024, 'MB', IDLE_MAX_MB);
    }
    await pooler.stop();
  }
  report('start to the end of the first query, median', median(times), 'ms', START_MAX_MS);
}

/** @param {Target} postgres */
async function measureShow(postgres) {
  const pooler = await OperatedPooler.start(postgres, { max_client_conn: CLIENTS + 100 });
  const clients = [];
  while (clients.length < CLIENTS) {
    const batch = Math.min(100, CLIENTS - clients.length);
    clients.push(
      ...(await Promise.all(
        Array.from({ length: batch }, () => WireClient.connect(pooler.target, 512)),
      )),
    );
  }
  say(`\n${String(CLIENTS)} clients are connected; worst of ${String(SAMPLES)}:\n`);
  const console = await pooler.console();
  // The first of each query is compiled while it runs.
  for (const sql of QUERIES) {
    await console.query(sql);
  }
  for (const sql of QUERIES) {
    let slowest = 0;
    let stall = 0;
    for (let i = 0; i < SAMPLES; i++) {
      await pooler.resetStall();
      const startedMs = performance.now();
      await console.query(sql);
      slowest = Math.max(slowest, performance.now() - startedMs);
      stall = Math.max(stall, await pooler.longestStallMs());
    }
    report(sql, slowest, 'ms', SHOW_MAX_MS);
    report('  longest stall of the event loop', stall, 'ms', STALL_MAX_MS);
  }
  console.close();
  for (const client of clients) {
    client.close();
  }
  await pooler.stop();
}

/** @param {Target} postgres */
async function measureReload(postgres) {
  const pooler = await OperatedPooler.start(postgres);
  const console = await pooler.console();
  const commands = async (/** @type {number} */ round) => {
    pooler.configure({ default_pool_size: 10 + (round % 10), query_timeout: 30 + (round % 2) });
    await console.query('RELOAD');
    await delay(1_000);
  };
  await measureUnderLoad('RELOAD each second', pooler, commands);
  console.close();
  await pooler.stop();
}

/** @param {Target} postgres */
async function measurePause(postgres) {
  const pooler = await OperatedPooler.start(postgres);
  const console = await pooler.console();
  const commands = async () => {
    await console.query('PAUSE');
    await delay(50);
    await console.query('RESUME');
    await delay(450);
  };
  await measureUnderLoad('PAUSE and RESUME twice a second', pooler, commands);
  console.close();
  await pooler.stop();
}

/**
 * @param {string} what
 * @param {OperatedPooler} pooler
 * @param {(round: number) => Promise<void>} commands
 */
async function measureUnderLoad(what, pooler, commands) {
  let isOver = false;
  // pgbench fails at the first error of any client.
  const load = runPgbench(pooler.target, LOAD, LOAD_SECONDS).finally(() => {
    isOver = true;
  });
  let rounds = 0;
  while (!isOver) {
    await commands(rounds);
    rounds += 1;
  }
  const { transactions, p99Us } = await load;
  say(
    `\n${what} for ${String(LOAD_SECONDS)} s under pgbench: ${String(rounds)} rounds, ` +
      `${String(transactions)} transactions, p99 ${(p99Us / 1000).toFixed(1)} ms\n`,
  );
  report('errors', 0, '', 0);
}

/**
 * @param {string} what
 * @param {number} value
 * @param {string} unit
 * @param {number} most
 */
function report(what, value, unit, most) {
  const isMissed = value > most;
  const digits = unit === '' ? 0 : 1;
  say(
    `${what.padEnd(66)} ${value.toFixed(digits).padStart(8)} ${unit} (at most ${String(most)})` +
      `${isMissed ? '  MISSED' : ''}\n`,
  );
  if (isMissed) {
    process.exitCode = 1;
  }
}

/** @param {readonly number[]} values */
function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** @param {string} text */
function say(text) {
  process.stdout.write(text);
}
