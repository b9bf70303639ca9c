import { setTimeout as delay } from 'node:timers/promises';
import { COPY_LINE_BYTES, ROWS_PER_BLOCK } from './copy-rows.mjs';
import { startLoad } from './load.mjs';
import { runPgbench } from './pgbench.mjs';
import { cpuTimeBetween, readCpuCounters, readRssKb } from './process-stats.mjs';

/** A pooler's memory counts once it has grown by less than this in a second, kB. */
const SETTLED_KB = 256;
const SETTLE_STEP_MS = 1000;
const SETTLE_STEPS_MAX = 30;

/** Clients that come and go before memory is first read, so that code is loaded on both sides. */
const WARM_UP_CLIENTS = 50;

/** @typedef {Record<string, number>} Sample - values by metric name, see metrics.mjs */

/**
 * Measures a pgbench load.
 *
 * @param {import('./poolers.mjs').Pooler} pooler
 * @param {import('./pgbench.mjs').PgbenchLoad} load
 * @param {number} seconds
 * @returns {Promise<Sample>}
 */
export async function measurePgbench(pooler, load, seconds) {
  const before = readCpuCounters(pooler.pid);
  const result = await runPgbench(pooler.target, load, seconds);
  const cpu = cpuTimeBetween(before, readCpuCounters(pooler.pid));
  return {
    tps: result.tps,
    // pgbench starts a transaction's clock after connecting: no latency with --connect.
    ...(load.reconnects ? {} : { p50Ms: result.p50Us / 1000, p99Ms: result.p99Us / 1000 }),
    cpuUs: cpu.totalUs / result.transactions,
    cpuUserUs: cpu.userUs / result.transactions,
    cpuSystemUs: cpu.systemUs / result.transactions,
    rssMb: readRssKb(pooler.pid) / 1024,
  };
}

/**
 * Measures one bulk transfer.
 *
 * @param {import('./poolers.mjs').Pooler} pooler
 * @param {'copy-out' | 'copy-in'} kind
 * @param {number} megabytes - of payload, 10^6 bytes each, rounded up to whole blocks of rows
 * @param {string} table - of COPY IN
 * @returns {Promise<Sample>}
 */
export async function measureCopy(pooler, kind, megabytes, table) {
  const blockBytes = COPY_LINE_BYTES * ROWS_PER_BLOCK;
  const rows = Math.ceil((megabytes * 1e6) / blockBytes) * ROWS_PER_BLOCK;
  const load = await startLoad({ kind, target: pooler.target, rows, table });
  try {
    const before = readCpuCounters(pooler.pid);
    const result = await load.run();
    const cpu = cpuTimeBetween(before, readCpuCounters(pooler.pid));
    if (result === undefined) {
      throw new Error('a COPY load without a result');
    }
    return {
      mbPerSecond: result.bytes / 1e6 / result.seconds,
      cpuSeconds: cpu.totalUs / 1e6,
      cpuUserSeconds: cpu.userUs / 1e6,
      cpuSystemSeconds: cpu.systemUs / 1e6,
      rssMb: readRssKb(pooler.pid) / 1024,
    };
  } finally {
    await load.stop();
  }
}

/** Traffic whose latency is watched: well below what a pooler can do, so that nothing queues. */
const WATCHED_QUERIES_PER_SECOND = 500;
const WATCHED_CLIENTS = 10;

/**
 * Measures what new logins do to the latency of others.
 *
 * @param {import('./poolers.mjs').Pooler} pooler
 * @param {number} loginsPerSecond
 * @param {number} seconds - without logins, and the same again with them
 * @param {number} [users] - of `createLoginUsers`, who log in in turn; 0 for the one user of the benchmark
 * @returns {Promise<Sample>}
 */
export async function measureLogins(pooler, loginsPerSecond, seconds, users = 0) {
  const { target } = pooler;
  const queries = /** @type {const} */ ({
    kind: 'paced-queries',
    target,
    perSecond: WATCHED_QUERIES_PER_SECOND,
    seconds,
    clients: WATCHED_CLIENTS,
  });
  const watched = await startLoad(queries);
  try {
    const quiet = await watched.run();
    await watched.stop();
    const watchedAgain = await startLoad(queries);
    const logins = await startLoad({
      kind: 'paced-logins',
      target,
      perSecond: loginsPerSecond,
      seconds,
      clients: 1,
      users,
    });
    try {
      const before = readCpuCounters(pooler.pid);
      const [busy, done] = await Promise.all([watchedAgain.run(), logins.run()]);
      const cpu = cpuTimeBetween(before, readCpuCounters(pooler.pid));
      const [quietP99Ms, busyP99Ms] = [quiet?.p99Ms ?? 0, busy?.p99Ms ?? 0];
      return {
        loginsPerSecond: (done?.count ?? 0) / (done?.seconds ?? 1),
        loginP99Ms: done?.p99Ms ?? 0,
        quietP99Ms,
        busyP99Ms,
        p99Growth: busyP99Ms / quietP99Ms,
        cpuPercent: cpu.totalUs / 1e4 / seconds,
        rssMb: readRssKb(pooler.pid) / 1024,
      };
    } finally {
      await watchedAgain.stop();
      await logins.stop();
    }
  } finally {
    await watched.stop();
  }
}

/**
 * Measures what clients that are logged in and idle add to the pooler's memory.
 *
 * @param {import('./poolers.mjs').Pooler} pooler - fresh
 * @param {number} clients
 * @returns {Promise<Sample>}
 */
export async function measureIdleClients(pooler, clients) {
  const growth = await measureGrowth(pooler, { kind: 'idle', target: pooler.target, clients });
  return {
    rssPerClientKb: growth.settledKb / clients,
    rssGrowthMb: growth.settledKb / 1024,
    rssMb: settledRssMb(growth),
  };
}

/**
 * Measures what clients add that have stopped reading in the middle of large results.
 *
 * @param {import('./poolers.mjs').Pooler} pooler - fresh, with a server connection for each client
 * @param {number} clients
 * @param {number} rows - of each client's result, 1 kB each
 * @returns {Promise<Sample>}
 */
export async function measureStalledClients(pooler, clients, rows) {
  const job = /** @type {const} */ ({ kind: 'stalled', target: pooler.target, clients, rows });
  const growth = await measureGrowth(pooler, job);
  return { rssGrowthMb: growth.peakKb / 1024, rssMb: settledRssMb(growth) };
}

/**
 * @typedef {object} Growth
 * @property {number} beforeKb
 * @property {number} settledKb - above `beforeKb`, when it had stopped growing
 * @property {number} peakKb - above `beforeKb`, the largest value seen
 */

/** @param {Growth} growth */
function settledRssMb(growth) {
  return (growth.beforeKb + growth.settledKb) / 1024;
}

/**
 * @param {import('./poolers.mjs').Pooler} pooler
 * @param {import('./load-worker.mjs').Job} job
 * @returns {Promise<Growth>}
 */
async function measureGrowth(pooler, job) {
  const warmUp = await startLoad({ kind: 'idle', target: pooler.target, clients: WARM_UP_CLIENTS });
  await warmUp.run();
  await warmUp.stop();
  const load = await startLoad(job);
  try {
    const beforeKb = readRssKb(pooler.pid);
    await load.run();
    let peakKb = readRssKb(pooler.pid);
    let lastKb = peakKb;
    for (let step = 0; step < SETTLE_STEPS_MAX; step += 1) {
      await delay(SETTLE_STEP_MS);
      const nowKb = readRssKb(pooler.pid);
      const hasSettled = Math.abs(nowKb - lastKb) < SETTLED_KB;
      peakKb = Math.max(peakKb, nowKb);
      lastKb = nowKb;
      if (hasSettled) {
        break;
      }
    }
    return { beforeKb, settledKb: lastKb - beforeKb, peakKb: peakKb - beforeKb };
  } finally {
    await load.stop();
  }
}
