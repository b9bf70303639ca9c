import { setTimeout as delay } from 'node:timers/promises';
import { COPY_LINE_BYTES, ROWS_PER_BLOCK, ROW_TEXT_BYTES, copyInBlock } from './copy-rows.mjs';
import { benchUser } from './login-users.mjs';
import { percentile } from './statistics.mjs';
import { WireClient } from './wire-client.mjs';

/**
 * Client load in a process of its own, started by `startLoad` in load.mjs. Its one argument is a
 * `Job` as JSON. It reports `{ state: 'ready' }`, waits for the message 'go', works, and reports
 * `{ state: 'done', result }`; clients stay connected until the parent ends the process.
 */

/**
 * @typedef {object} CopyJob
 * @property {'copy-out' | 'copy-in'} kind
 * @property {import('./wire-client.mjs').Target} target
 * @property {number} rows
 * @property {string} table - of COPY IN: one text column
 *
 * @typedef {object} IdleJob
 * @property {'idle'} kind
 * @property {import('./wire-client.mjs').Target} target
 * @property {number} clients
 *
 * @typedef {object} StalledJob
 * @property {'stalled'} kind
 * @property {import('./wire-client.mjs').Target} target
 * @property {number} clients
 * @property {number} rows - of each client's result
 *
 * @typedef {object} PacedJob - queries, or logins, at a fixed rate, whatever they take
 * @property {'paced-queries' | 'paced-logins'} kind
 * @property {import('./wire-client.mjs').Target} target
 * @property {number} perSecond
 * @property {number} seconds
 * @property {number} clients - that share the queries
 * @property {number} [users] - that log in in turn, named by `benchUser`; one by default, that of `target`
 *
 * @typedef {CopyJob | IdleJob | StalledJob | PacedJob} Job
 */

/** Clients that log in at the same time. */
const LOGINS_AT_ONCE = 32;

/** Small, so that thousands of idle clients fit into the worker. */
const IDLE_READ_BUFFER_BYTES = 1024;

await work(JSON.parse(process.argv[2] ?? 'null'));

/** @param {Job} job */
async function work(job) {
  // Nobody is left to report to: end with the parent.
  process.once('disconnect', () => process.exit(0));
  try {
    switch (job.kind) {
      case 'copy-out':
      case 'copy-in':
        await copy(job);
        break;
      case 'idle':
        await untilGo();
        await openClients(job.target, job.clients, IDLE_READ_BUFFER_BYTES);
        report('done');
        break;
      case 'stalled':
        await stall(job);
        break;
      case 'paced-queries':
      case 'paced-logins':
        await keepPace(job);
        break;
    }
  } catch (error) {
    process.send?.({ state: 'failed', message: error instanceof Error ? error.message : 'error' });
  }
}

/** @param {CopyJob} job */
async function copy(job) {
  const client = await WireClient.connect(job.target);
  const block = copyInBlock();
  await untilGo();
  const startMs = performance.now();
  const reply =
    job.kind === 'copy-out'
      ? await client.query(`COPY (${textRows(job.rows)}) TO STDOUT`)
      : await client.copyIn(`COPY ${job.table} FROM STDIN`, block, job.rows / ROWS_PER_BLOCK);
  const seconds = (performance.now() - startMs) / 1000;
  if (reply.commandTag !== `COPY ${String(job.rows)}`) {
    throw new Error(`COPY of ${String(job.rows)} rows ended with "${reply.commandTag}"`);
  }
  const bytes = job.rows * COPY_LINE_BYTES;
  if (job.kind === 'copy-out' && reply.copyBytes !== bytes) {
    throw new Error(`COPY delivered ${String(reply.copyBytes)} of ${String(bytes)} bytes`);
  }
  report('done', { seconds, bytes });
}

/**
 * Starts something at each point of a fixed grid of time and measures from that point, so that
 * being late counts as latency.
 *
 * @param {PacedJob} job
 */
async function keepPace({ kind, target, perSecond, seconds, clients, users = 0 }) {
  const isLogin = kind === 'paced-logins';
  const connected = await openClients(target, isLogin ? 1 : clients);
  await untilGo();
  /** @type {number[]} */
  const latencies = [];
  /** @type {Set<Promise<void>>} */
  const running = new Set();
  const startMs = performance.now();
  const total = perSecond * seconds;
  // Each client answers one query at a time: its next one waits for it.
  const ends = connected.map(() => Promise.resolve());
  const doOne = async (/** @type {number} */ index) => {
    if (isLogin) {
      const who = users === 0 ? target : { ...target, user: benchUser(index % users) };
      const client = await WireClient.connect(who, IDLE_READ_BUFFER_BYTES);
      client.close();
      return;
    }
    const slot = index % connected.length;
    const turn = ends[slot]?.then(async () => {
      await connected[slot]?.query('SELECT 1');
    });
    ends[slot] = turn ?? Promise.resolve();
    await turn;
  };
  for (let index = 0; index < total;) {
    const dueCount = Math.min(total, ((performance.now() - startMs) / 1000) * perSecond);
    for (; index < dueCount; index += 1) {
      const dueMs = startMs + (index / perSecond) * 1000;
      const task = doOne(index).then(() => {
        latencies.push(performance.now() - dueMs);
        running.delete(task);
      });
      running.add(task);
    }
    await delay(1);
  }
  await Promise.all(running);
  latencies.sort((a, b) => a - b);
  report('done', {
    seconds: (performance.now() - startMs) / 1000,
    bytes: 0,
    count: latencies.length,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
  });
}

/** @param {StalledJob} job */
async function stall(job) {
  const clients = await openClients(job.target, job.clients);
  await untilGo();
  const sql = textRows(job.rows);
  await Promise.all(clients.map((client) => client.stallAfterFirstRow(sql)));
  report('done');
}

/**
 * @param {import('./wire-client.mjs').Target} target
 * @param {number} count
 * @param {number} [readBufferBytes]
 * @returns {Promise<WireClient[]>}
 */
async function openClients(target, count, readBufferBytes) {
  /** @type {WireClient[]} */
  const clients = [];
  while (clients.length < count) {
    const length = Math.min(LOGINS_AT_ONCE, count - clients.length);
    const logins = Array.from({ length }, () => WireClient.connect(target, readBufferBytes));
    clients.push(...(await Promise.all(logins)));
  }
  return clients;
}

/** @param {number} rows */
function textRows(rows) {
  return `SELECT repeat('x', ${String(ROW_TEXT_BYTES)}) FROM generate_series(1, ${String(rows)})`;
}

/** @returns {Promise<void>} */
function untilGo() {
  report('ready');
  return new Promise((resolve) => {
    process.once('message', () => {
      resolve();
    });
  });
}

/**
 * @param {'ready' | 'done'} state
 * @param {import('./load.mjs').LoadResult} [result]
 */
function report(state, result) {
  process.send?.({ state, result });
}
